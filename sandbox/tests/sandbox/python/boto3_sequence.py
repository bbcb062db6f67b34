"""Uses the AWS emulator through boto3 as any script would: only AWS_ENDPOINT_URL in the environment is special.

Goes through every operation that boto3 has, its errors included.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

trust_file, policy_file = sys.argv[1:]
TRUST = open(trust_file, encoding="utf-8").read()
POLICY = open(policy_file, encoding="utf-8").read()

# No retries: every answer counts once.
CONFIG = Config(retries={"max_attempts": 1, "mode": "standard"})
session = boto3.Session()
eks, iam, sts, ssm, quotas = (
    session.client(name, config=CONFIG) for name in ("eks", "iam", "sts", "ssm", "service-quotas")
)
# Bad values must reach the emulator, so the client must not check them first.
UNCHECKED = CONFIG.merge(Config(parameter_validation=False))
raw_eks, raw_iam, raw_ssm = (session.client(name, config=UNCHECKED) for name in ("eks", "iam", "ssm"))


def fails(code, message, call, **arguments):
    """The call must fail with this code and a message that contains this text."""
    try:
        call(**arguments)
    except ClientError as error:
        actual = error.response["Error"]
        assert actual["Code"] == code, (code, actual)
        assert message in actual.get("Message", ""), (message, actual)
        return error.response
    raise AssertionError(f"{code} expected")


account = sts.get_caller_identity()["Account"]
assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:user/ana"

# IAM: roles.
ROLE = "AmazonEKSConnectorAgentRole"
fails("NoSuchEntity", f"The role with name {ROLE} cannot be found.", iam.get_role, RoleName=ROLE)
fails("MalformedPolicyDocument", "This policy contains invalid Json", iam.create_role, RoleName=ROLE, AssumeRolePolicyDocument="{")
fails(
    "MalformedPolicyDocument", "Has prohibited field Resource", iam.create_role, RoleName=ROLE,
    AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole", "Resource": "*"}]}),
)
fails("ValidationError", "1 validation error detected: Value at 'roleName' failed", raw_iam.get_role, RoleName="x" * 65)
fails("ValidationError", "alphanumeric", raw_iam.get_role, RoleName="a b")
boundary = "arn:aws:iam::aws:policy/AdministratorAccess"
made = iam.create_role(
    RoleName=ROLE, Path="/team/", AssumeRolePolicyDocument=TRUST, Description="agents <of> 'all' & \"each\"", MaxSessionDuration=7200,
    PermissionsBoundary=boundary, Tags=[{"Key": "eksconnect:managed", "Value": "true"}],
)["Role"]
assert made["Arn"] == f"arn:aws:iam::{account}:role/team/{ROLE}"
assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
fails("EntityAlreadyExists", f"Role with name {ROLE.lower()} already exists.", iam.create_role, RoleName=ROLE.lower(), AssumeRolePolicyDocument=TRUST)
role = iam.get_role(RoleName=ROLE)["Role"]
assert role["Description"] == "agents <of> 'all' & \"each\""
assert role["MaxSessionDuration"] == 7200 and role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
iam.tag_role(RoleName=ROLE, Tags=[{"Key": "team", "Value": "a b"}, {"Key": "x", "Value": ""}])
iam.untag_role(RoleName=ROLE, TagKeys=["x"])
assert iam.list_role_tags(RoleName=ROLE)["Tags"] == [{"Key": "eksconnect:managed", "Value": "true"}, {"Key": "team", "Value": "a b"}]
page = iam.list_role_tags(RoleName=ROLE, MaxItems=1)
assert page["IsTruncated"] and len(page["Tags"]) == 1
assert not iam.list_role_tags(RoleName=ROLE, Marker=page["Marker"])["IsTruncated"]

# IAM: policies of roles.
NAME = "AmazonEKSConnectorAgentPolicy"
fails("NoSuchEntity", f"The role policy with name {NAME} cannot be found.", iam.get_role_policy, RoleName=ROLE, PolicyName=NAME)
fails("MalformedPolicyDocument", "Syntax errors in policy.", iam.put_role_policy, RoleName=ROLE, PolicyName=NAME, PolicyDocument="[]")
iam.put_role_policy(RoleName=ROLE, PolicyName=NAME, PolicyDocument=POLICY)
assert iam.get_role_policy(RoleName=ROLE, PolicyName=NAME)["PolicyDocument"] == json.loads(POLICY)
assert iam.list_role_policies(RoleName=ROLE)["PolicyNames"] == [NAME]
managed = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
fails("NoSuchEntity", "does not exist or is not attachable", iam.attach_role_policy, RoleName=ROLE, PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")
iam.attach_role_policy(RoleName=ROLE, PolicyArn=managed)
assert iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"][0]["PolicyArn"] == managed
fails("DeleteConflict", "must detach all policies first", iam.delete_role, RoleName=ROLE)
iam.detach_role_policy(RoleName=ROLE, PolicyArn=managed)
fails("NoSuchEntity", "was not found", iam.detach_role_policy, RoleName=ROLE, PolicyArn=managed)
fails("DeleteConflict", "must delete policies first", iam.delete_role, RoleName=ROLE)
iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=TRUST)

# IAM: the service-linked role.
SLR = "AWSServiceRoleForAmazonEKSConnector"
fails("NoSuchEntity", SLR, iam.delete_service_linked_role, RoleName=SLR)
assert iam.create_service_linked_role(AWSServiceName="eks-connector.amazonaws.com")["Role"]["RoleName"] == SLR
fails("InvalidInput", f"Service role name {SLR} has been taken in this account", iam.create_service_linked_role, AWSServiceName="eks-connector.amazonaws.com")
fails("UnmodifiableEntity", SLR, iam.delete_role, RoleName=SLR)
assert [each["RoleName"] for each in iam.list_roles(PathPrefix="/team/")["Roles"]] == [ROLE]
assert iam.list_roles(PathPrefix="/nobody/")["Roles"] == []
names = [each["RoleName"] for page in iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1}) for each in page["Roles"]]
assert sorted(names) == sorted([SLR, ROLE]), names

# EKS.
config = {"roleArn": made["Arn"], "provider": "OTHER"}
fails("ResourceNotFoundException", "No cluster found for name: c1.", eks.describe_cluster, name="c1")
fails("InvalidParameterException", "'name' failed", raw_eks.register_cluster, name="a.b", connectorConfig=config)
fails("InvalidParameterException", "provider", raw_eks.register_cluster, name="c1", connectorConfig={**config, "provider": "MOON"})
fails("InvalidParameterException", "must not be null", raw_eks.register_cluster, name="c1", connectorConfig={"provider": "OTHER"})
fails("InvalidRequestException", "Nonexistent role or missing ssm service principal in trust policy", eks.register_cluster, name="c1", connectorConfig={**config, "roleArn": made["Arn"] + "x"})
for number in range(1, 11):
    made_cluster = eks.register_cluster(name=f"c{number}", connectorConfig=config, tags={"n": str(number)})["cluster"]
    assert len(made_cluster["connectorConfig"]["activationCode"]) == 20
fails("ResourceLimitExceededException", "limit", eks.register_cluster, name="c11", connectorConfig=config)
fails("ResourceInUseException", "Cluster already exists with name: c1", eks.register_cluster, name="c1", connectorConfig=config)
described = eks.describe_cluster(name="c10")["cluster"]
assert described["status"] == "PENDING" and described["tags"] == {"n": "10"}
assert "activationCode" not in described["connectorConfig"]
assert described["connectorConfig"]["activationExpiry"] == made_cluster["connectorConfig"]["activationExpiry"]
assert (described["connectorConfig"]["activationExpiry"] - described["createdAt"]).total_seconds() == 72 * 3600
assert eks.list_clusters()["clusters"] == []
pages = list(eks.get_paginator("list_clusters").paginate(include=["all"], PaginationConfig={"PageSize": 4}))
assert [len(page["clusters"]) for page in pages] == [4, 4, 2]
fails("InvalidParameterException", "token", eks.list_clusters, nextToken="nonsense")
fails("InvalidParameterException", "maxResults", raw_eks.list_clusters, maxResults=101)
arn = described["arn"]
eks.tag_resource(resourceArn=arn, tags={"team": "a", "x": "y"})
eks.untag_resource(resourceArn=arn, tagKeys=["n", "x"])
assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a"}
fails("NotFoundException", "", eks.list_tags_for_resource, resourceArn=arn + "x")
fails("BadRequestException", "", eks.tag_resource, resourceArn=arn, tags={"aws:x": "y"})

# Systems Manager and Service Quotas.
activation = described["connectorConfig"]["activationId"]
listed = ssm.describe_activations(Filters=[{"FilterKey": "ActivationIds", "FilterValues": [activation]}])["ActivationList"]
assert [each["IamRole"] for each in listed] == [ROLE]
assert sum(len(page["ActivationList"]) for page in ssm.get_paginator("describe_activations").paginate(PaginationConfig={"PageSize": 3})) == 10
fails("InvalidFilter", "", raw_ssm.describe_activations, Filters=[{"FilterKey": "x", "FilterValues": []}])
fails("InvalidNextToken", "", ssm.describe_activations, NextToken="x")
assert ssm.describe_instance_information()["InstanceInformationList"] == []
fails("InvalidInstanceId", "", ssm.deregister_managed_instance, InstanceId="mi-0123456789abcdef0")
fails("ValidationException", "'instanceId' failed", ssm.deregister_managed_instance, InstanceId="i-0123456789abcdef0000")
quota = quotas.get_service_quota(ServiceCode="eks", QuotaCode="L-FDFA5F81")["Quota"]
assert quota["Value"] == 10 and quota["QuotaName"] == "Registered clusters"
fails("NoSuchResourceException", "", quotas.get_service_quota, ServiceCode="eks", QuotaCode="L-00000000")

# The service-linked role cannot go while there are connected clusters.
task = iam.delete_service_linked_role(RoleName=SLR)["DeletionTaskId"]
status = iam.get_service_linked_role_deletion_status(DeletionTaskId=task)
while status["Status"] == "IN_PROGRESS":
    status = iam.get_service_linked_role_deletion_status(DeletionTaskId=task)
assert status["Status"] == "FAILED" and len(status["Reason"]["RoleUsageList"][0]["Resources"]) == 10, status
fails("NoSuchEntity", "Deletion task task/<a & b> cannot be found.", iam.get_service_linked_role_deletion_status, DeletionTaskId="task/<a & b>")

for number in range(1, 11):
    gone = eks.deregister_cluster(name=f"c{number}")["cluster"]
    assert gone["status"] == "DELETING" and gone["connectorConfig"]["roleArn"] == made["Arn"]
fails("ResourceNotFoundException", "No cluster found for name: c1.", eks.deregister_cluster, name="c1")
task = iam.delete_service_linked_role(RoleName=SLR)["DeletionTaskId"]
while iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "IN_PROGRESS":
    pass
assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"

# Assuming a role.
fails("AccessDenied", "is not authorized to perform: sts:AssumeRole on resource", sts.assume_role, RoleArn=made["Arn"], RoleSessionName="me")
admin = iam.create_role(
    RoleName="Admin", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}}),
)["Role"]
fails("ValidationError", "exceeds the MaxSessionDuration", sts.assume_role, RoleArn=admin["Arn"], RoleSessionName="me", DurationSeconds=3601)
assumed = sts.assume_role(RoleArn=admin["Arn"], RoleSessionName="me")
keys = assumed["Credentials"]
as_admin = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
identity = as_admin.client("sts").get_caller_identity()
assert identity["Arn"] == assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{account}:assumed-role/Admin/me"
fails(
    "AccessDeniedException",
    f"User: {identity['Arn']} is not authorized to perform: eks:ListClusters on resource: "
    f"arn:aws:eks:eu-west-1:{account}:cluster/* because no identity-based policy allows the eks:ListClusters action",
    as_admin.client("eks").list_clusters,
)
fails("AccessDenied", "iam:ListRoles", as_admin.client("iam").list_roles)
fails("AccessDeniedException", "ssm:DescribeActivations", as_admin.client("ssm").describe_activations)

# Simulation.
def simulate(arn, *actions, **arguments):
    answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions), **arguments)
    return [each["EvalDecision"] for each in answer["EvaluationResults"]]


user = f"arn:aws:iam::{account}:user/ana"
assert simulate(user, "eks:RegisterCluster", "iam:PassRole") == ["allowed", "allowed"]
channel = "ssmmessages:CreateControlChannel"
assert simulate(made["Arn"], channel, ResourceArns=[arn, "*"]) == ["allowed", "implicitDeny"]
iam.put_role_policy(RoleName="Admin", PolicyName="P", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "*", "Resource": "*"},
    {"Effect": "Deny", "Action": "iam:*", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}}]}))
entry = {"ContextKeyName": "aws:RequestedRegion", "ContextKeyValues": ["us-east-1"], "ContextKeyType": "string"}
assert simulate(admin["Arn"], "iam:GetRole") == ["allowed"]
assert simulate(admin["Arn"], "iam:GetRole", ContextEntries=[entry]) == ["explicitDeny"]
iam.delete_role_policy(RoleName="Admin", PolicyName="P")
fails("InvalidInput", "Invalid Entity Arn", iam.simulate_principal_policy, PolicySourceArn=identity["Arn"], ActionNames=["iam:GetRole"])
fails("NoSuchEntity", "cannot be found", iam.simulate_principal_policy, PolicySourceArn=user + "x", ActionNames=["iam:GetRole"])

# Users and their policies.
assert iam.get_user()["User"]["Arn"] == user
fails("ValidationError", "Must specify userName when calling with non-User credentials", as_admin.client("iam").get_user)
fails("NoSuchEntity", "The user with name bo cannot be found.", iam.get_user, UserName="bo")
fails("ValidationError", "alphanumeric", raw_iam.create_user, UserName="a b")
fails("NoSuchEntity", "does not exist or is not attachable", iam.create_user, UserName="bo", PermissionsBoundary="arn:aws:iam::aws:policy/None")
bo = iam.create_user(UserName="bo", Path="/team/", Tags=[{"Key": "team", "Value": "a"}], PermissionsBoundary=boundary)["User"]
assert bo["Arn"] == f"arn:aws:iam::{account}:user/team/bo" and bo["Tags"] == [{"Key": "team", "Value": "a"}]
fails("EntityAlreadyExists", "User with name BO already exists.", iam.create_user, UserName="BO")
assert iam.get_user(UserName="bo")["User"] == bo
assert simulate(bo["Arn"], "eks:AccessKubernetesApi") == ["implicitDeny"]
VIEW = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["eks:DescribeCluster", "eks:AccessKubernetesApi"], "Resource": arn},
    {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}
fails("NoSuchEntity", "The user policy with name View cannot be found.", iam.get_user_policy, UserName="bo", PolicyName="View")
fails("MalformedPolicyDocument", "Syntax errors in policy.", iam.put_user_policy, UserName="bo", PolicyName="View", PolicyDocument="[]")
long = json.dumps({**VIEW, "Statement": VIEW["Statement"] * 16})
fails("LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user bo", iam.put_user_policy, UserName="bo", PolicyName="View", PolicyDocument=long)
iam.put_user_policy(UserName="bo", PolicyName="View", PolicyDocument=json.dumps(VIEW))
assert iam.get_user_policy(UserName="bo", PolicyName="View")["PolicyDocument"] == VIEW
assert iam.list_user_policies(UserName="bo")["PolicyNames"] == ["View"]
assert simulate(bo["Arn"], "eks:AccessKubernetesApi", "eks:ListClusters", "iam:GetUser", ResourceArns=[arn]) == ["allowed", "implicitDeny", "explicitDeny"]
assert simulate(bo["Arn"], "eks:AccessKubernetesApi", ResourceArns=[arn + "x"]) == ["implicitDeny"]
iam.attach_user_policy(UserName="bo", PolicyArn=managed)
fails("NoSuchEntity", "does not exist or is not attachable", iam.attach_user_policy, UserName="bo", PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")
assert iam.list_attached_user_policies(UserName="bo")["AttachedPolicies"][0]["PolicyArn"] == managed
fails("DeleteConflict", "must detach all policies first", iam.delete_user, UserName="bo")
iam.detach_user_policy(UserName="bo", PolicyArn=managed)
fails("NoSuchEntity", "was not found", iam.detach_user_policy, UserName="bo", PolicyArn=managed)
fails("DeleteConflict", "must delete policies first", iam.delete_user, UserName="bo")
iam.delete_user_policy(UserName="bo", PolicyName="View")
fails("NoSuchEntity", "The user policy with name View cannot be found.", iam.delete_user_policy, UserName="bo", PolicyName="View")
iam.delete_user(UserName="bo")
fails("NoSuchEntity", "The user with name bo cannot be found.", iam.delete_user, UserName="bo")
fails("DeleteConflict", "must delete access keys first", iam.delete_user, UserName="ana")
fails("AccessDenied", f"iam:GetUser on resource: {user} ", as_admin.client("iam").get_user, UserName="ana")

# Bad credentials, in every protocol.
stranger = boto3.Session("AKIAAAAAAAAAAAAAAAAA", "x" * 40)
wrong = boto3.Session(session.get_credentials().access_key, "x" * 40)
unsent = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"])
for service, call, unknown, mismatch in [
    ("eks", "list_clusters", "UnrecognizedClientException", "InvalidSignatureException"),
    ("iam", "list_roles", "InvalidClientTokenId", "SignatureDoesNotMatch"),
    ("sts", "get_caller_identity", "InvalidClientTokenId", "SignatureDoesNotMatch"),
    ("ssm", "describe_activations", "UnrecognizedClientException", "InvalidSignatureException"),
]:
    fails(unknown, "The security token included in the request is invalid.", getattr(stranger.client(service), call))
    fails(unknown, "The security token included in the request is invalid.", getattr(unsent.client(service), call))
    fails(mismatch, "The request signature we calculated does not match", getattr(wrong.client(service), call))

# Operations that AWS has and the emulator does not.
fails("InvalidAction", "Could not find operation ListUsers for version 2010-05-08", iam.list_users)
fails("UnknownOperationException", "", ssm.describe_parameters)
fails("UnknownOperationException", "", eks.list_addons, clusterName="c1")

iam.delete_role_policy(RoleName=ROLE, PolicyName=NAME)
iam.delete_role(RoleName=ROLE)
iam.delete_role(RoleName="Admin")
assert iam.list_roles()["Roles"] == []
print("done")
