"""Checks recorded answers of the AWS emulator against the service models that botocore ships.

    validate_responses.py RECORDING           every answer must fit its model
    validate_responses.py --prove RECORDING   every spoiled copy of an answer must be rejected

RECORDING has one JSON object a line: method, path, query, requestHeaders, requestBody, status, headers, body.
Strict: an unknown member, a wrong type, a missing required member, a value outside an enum, a wrong HTTP status or an
error code that the model does not have for the operation is a failure.
"""

import collections
import copy
import datetime
import gzip
import json
import pathlib
import re
import sys
import urllib.parse
import xml.etree.ElementTree as xml

import botocore

SERVICES = ["eks", "iam", "sts", "ssm", "service-quotas"]

# Called by agents alone; the public models do not have them.
UNMODELLED_OPERATIONS = {"RegisterManagedInstance", "RequestManagedInstanceRoleToken"}

# Errors of AWS's front end, which no model lists: code -> HTTP statuses. Common errors of the services' API references.
COMMON_ERRORS = {
    "query": {
        "AccessDenied": {403},
        "ExpiredToken": {403},
        "IncompleteSignature": {403},
        "InvalidAction": {400},
        "InvalidClientTokenId": {403},
        "MalformedInput": {400},
        "MissingAction": {400},
        "MissingAuthenticationToken": {403},
        "SignatureDoesNotMatch": {403},
        "ValidationError": {400},
    },
    "json": {
        "AccessDeniedException": {400},
        "ExpiredTokenException": {400},
        "IncompleteSignatureException": {400},
        "InvalidSignatureException": {400},
        "MissingAuthenticationTokenException": {400},
        "SerializationException": {400},
        "UnknownOperationException": {400},
        "UnrecognizedClientException": {400},
        "ValidationException": {400},
    },
    "rest-json": {
        "AccessDeniedException": {403},
        "ExpiredTokenException": {403},
        "IncompleteSignatureException": {403},
        "InvalidSignatureException": {403},
        "MissingAuthenticationTokenException": {403},
        "SerializationException": {400},
        "UnknownOperationException": {404},
        "UnrecognizedClientException": {403},
        # Observed from AWS on RegisterCluster although its model lacks it (eksctl-io/eksctl issue 5944).
        "InvalidRequestException": {400},
    },
}

# InvalidParameterException is modelled on RegisterCluster and ListClusters alone; the emulator's only other use of it
# would be a mistake, so it is not here.


class Rejected(Exception):
    """An answer that does not fit."""


class Model:
    """A service model."""

    def __init__(self, name):
        folder = pathlib.Path(botocore.__file__).parent / "data" / name
        newest = sorted(folder.iterdir())[-1]
        packed = newest / "service-2.json.gz"
        data = gzip.decompress(packed.read_bytes()) if packed.exists() else (newest / "service-2.json").read_bytes()
        self.document = json.loads(data)
        self.metadata = self.document["metadata"]
        self.operations = self.document["operations"]
        self.shapes = self.document["shapes"]
        self.protocol = self.metadata["protocol"]


MODELS = {name: Model(name) for name in SERVICES}


def find_operation(exchange):
    """Model and operation name of an exchange; the name alone if no model has it; None if it is not for a model."""
    headers = exchange["requestHeaders"]
    if target := headers.get("x-amz-target"):
        prefix, _, name = target.partition(".")
        for model in MODELS.values():
            if model.metadata.get("targetPrefix") == prefix:
                return model, name
        return None, name
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = dict(urllib.parse.parse_qsl(exchange["requestBody"]))
        for model in MODELS.values():
            if model.protocol == "query" and model.metadata["apiVersion"] == form.get("Version"):
                return model, form.get("Action", "")
        return None, form.get("Action", "")
    model = MODELS["eks"]
    for name, operation in model.operations.items():
        http = operation["http"]
        template = "/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in http["requestUri"].split("/"))
        if http["method"] == exchange["method"] and re.fullmatch(template, exchange["path"]):
            return model, name
    return None, exchange["path"]


def check(exchange):
    """Raises Rejected unless the answer fits. Gives (service, operation, what), or None if no model applies."""
    model, name = find_operation(exchange)
    if name in UNMODELLED_OPERATIONS or exchange["path"].startswith("/v1/control-channel/"):
        return None
    if model is None:
        raise Rejected(f"no model for {name}")
    operation = model.operations.get(name)
    if not exchange["headers"].get("x-amzn-requestid"):
        raise Rejected("no request id")
    if exchange["status"] >= 300:
        return name, check_error(model, name, operation, exchange)
    if operation is None:
        raise Rejected(f"success of {name}, which the model does not have")
    wanted = operation["http"].get("responseCode", 200)
    if exchange["status"] != wanted:
        raise Rejected(f"status {exchange['status']} instead of {wanted}")
    output = operation.get("output")
    if model.protocol == "query":
        check_query(model, name, output, exchange["body"])
    else:
        body = json.loads(exchange["body"])
        if output is None:
            if body != {}:
                raise Rejected("a body where the model has none")
        else:
            check_json(model, output["shape"], body, output["shape"])
    return name, "success"


def check_error(model, name, operation, exchange):
    body = exchange["body"]
    if model.protocol == "query":
        root = parse_xml(body, "ErrorResponse", model)
        error = only(root, "Error")
        if sorted(tag(child) for child in error) != ["Code", "Message", "Type"]:
            raise Rejected("an error needs Type, Code, Message")
        code, kind = only(error, "Code").text, only(error, "Type").text
        if kind != ("Sender" if exchange["status"] < 500 else "Receiver"):
            raise Rejected(f"error type {kind}")
        if len(root) != 2 or not only(root, "RequestId").text:
            raise Rejected("an error answer needs Error and RequestId")
        members = {}
    else:
        members = json.loads(body)
        code = members.pop("__type", None) if model.protocol == "json" else None
        code = code or exchange["headers"].get("x-amzn-errortype")
    modelled = {}
    for each in (operation or {}).get("errors", []):
        shape = model.shapes[each["shape"]]
        error = shape.get("error", {})
        modelled[error.get("code", each["shape"])] = (error.get("httpStatusCode", 400), shape)
    if code in modelled:
        status, shape = modelled[code]
        allowed, shape_members = {status}, set(shape.get("members", {})) | {"message", "Message"}
    elif code in COMMON_ERRORS[model.protocol]:
        allowed, shape_members = COMMON_ERRORS[model.protocol][code], {"message", "Message"}
    else:
        raise Rejected(f"error code {code} is not one of {name}")
    if exchange["status"] not in allowed:
        raise Rejected(f"{code} with status {exchange['status']}")
    for member, value in members.items():
        if member not in shape_members:
            raise Rejected(f"unknown member {member} of {code}")
        if not isinstance(value, (str, list)):
            raise Rejected(f"wrong type of {member}")
    return code


def tag(element):
    return element.tag.rpartition("}")[2]


def only(parent, name):
    found = [child for child in parent if tag(child) == name]
    if len(found) != 1:
        raise Rejected(f"{len(found)} elements {name} in {tag(parent)}")
    return found[0]


def parse_xml(text, name, model):
    root = xml.fromstring(text)
    namespace = model.metadata["xmlNamespace"]
    if root.tag != f"{{{namespace}}}{name}":
        raise Rejected(f"root {root.tag} instead of {name} of {namespace}")
    return root


def check_query(model, name, output, body):
    root = parse_xml(body, f"{name}Response", model)
    metadata = only(root, "ResponseMetadata")
    if len(metadata) != 1 or not only(metadata, "RequestId").text:
        raise Rejected("the metadata is not a request id")
    others = [child for child in root if tag(child) != "ResponseMetadata"]
    if output is None:
        if others:
            raise Rejected("a result where the model has none")
        return
    wrapper = only(root, output["resultWrapper"])
    if len(others) != 1:
        raise Rejected("something beside the result")
    check_xml(model, output["shape"], wrapper, output["shape"])


def check_xml(model, shape_name, element, at):
    shape = model.shapes[shape_name]
    kind = shape["type"]
    if kind == "structure":
        names = {member.get("locationName", name): (name, member) for name, member in shape["members"].items()}
        seen = collections.Counter(tag(child) for child in element)
        for child in element:
            if tag(child) not in names:
                raise Rejected(f"unknown member {at}.{tag(child)}")
            if seen[tag(child)] > 1:
                raise Rejected(f"{at}.{tag(child)} repeats")
            check_xml(model, names[tag(child)][1]["shape"], child, f"{at}.{tag(child)}")
        for required in shape.get("required", []):
            if required not in seen:
                raise Rejected(f"missing {at}.{required}")
    elif kind == "list":
        for child in element:
            if tag(child) != shape["member"].get("locationName", "member"):
                raise Rejected(f"{tag(child)} in the list {at}")
            check_xml(model, shape["member"]["shape"], child, f"{at}[]")
    elif len(element):
        raise Rejected(f"{at} has elements")
    else:
        text = element.text or ""
        if kind == "timestamp":
            scalar(shape, datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) and text, at)
        elif kind == "boolean" and text not in ("true", "false"):
            raise Rejected(f"{at} is no boolean: {text}")
        elif kind in ("integer", "long") and not re.fullmatch("-?[0-9]+", text):
            raise Rejected(f"{at} is no number: {text}")
        elif kind == "string":
            scalar(shape, text, at)


def check_json(model, shape_name, value, at):
    shape = model.shapes[shape_name]
    kind = shape["type"]
    types = {
        "structure": dict, "map": dict, "list": list, "string": str, "boolean": bool,
        "integer": int, "long": int, "double": (int, float), "float": (int, float), "timestamp": (int, float),
    }
    if not isinstance(value, types[kind]) or (kind != "boolean" and isinstance(value, bool)):
        raise Rejected(f"{at} is no {kind}: {value!r}")
    if kind == "structure":
        names = {member.get("locationName", name): member for name, member in shape["members"].items()}
        for name, member in value.items():
            if name not in names:
                raise Rejected(f"unknown member {at}.{name}")
            check_json(model, names[name]["shape"], member, f"{at}.{name}")
        for required in shape.get("required", []):
            if required not in value:
                raise Rejected(f"missing {at}.{required}")
    elif kind == "map":
        for key, member in value.items():
            check_json(model, shape["key"]["shape"], key, f"{at} key")
            check_json(model, shape["value"]["shape"], member, f"{at}.{key}")
    elif kind == "list":
        for member in value:
            check_json(model, shape["member"]["shape"], member, f"{at}[]")
    elif kind == "string":
        scalar(shape, value, at)


def scalar(shape, text, at):
    if "enum" in shape and text not in shape["enum"]:
        raise Rejected(f"{at} is none of the enum: {text}")
    if len(text) > shape.get("max", len(text)):
        raise Rejected(f"{at} is too long")


def spoiled(exchange):
    """Copies of an exchange, each with one mistake that must be noticed."""

    def variant(what, **changes):
        return what, {**copy.deepcopy(exchange), **changes}

    body = exchange["body"]
    yield variant("another status", status=418 if exchange["status"] >= 300 else 204)
    headers = {name: value for name, value in exchange["headers"].items() if name != "x-amzn-requestid"}
    yield variant("no request id", headers=headers)
    if body.startswith("<"):
        yield variant("cut in the middle", body=body[: len(body) // 2])
        for inner in re.finditer("<(Code|RequestId|Arn|Account|Status|[A-Za-z]+Result)>", body):
            yield variant("unknown element", body=body[: inner.start()] + "<Nonsense/>" + body[inner.start():])
        if "<Code>" in body:
            yield variant("unknown error code", body=re.sub("<Code>.*?</Code>", "<Code>Nonsense</Code>", body))
        if "<CreateDate>" in body:
            yield variant("missing member", body=re.sub("<CreateDate>.*?</CreateDate>", "", body))
            yield variant("wrong type", body=re.sub("<CreateDate>.*?</CreateDate>", "<CreateDate>soon</CreateDate>", body))
        return
    yield variant("cut in the middle", body=body[: len(body) // 2] if len(body) > 2 else "{")
    value = json.loads(body)
    yield variant("unknown member", body=json.dumps({**value, "nonsense": 1}))
    if exchange["status"] >= 300:
        changed = {**value, "__type": "Nonsense"} if "__type" in value else value
        yield variant("unknown error code", body=json.dumps(changed), headers={**exchange["headers"], "x-amzn-errortype": "Nonsense"})
    else:
        for name, member in value.items():
            wrong = 7 if not isinstance(member, (int, float)) else "seven"
            yield variant(f"wrong type of {name}", body=json.dumps({**value, name: wrong}))
        if "cluster" in value:
            wrong = {**value["cluster"], "status": "NONSENSE"}
            yield variant("outside the enum", body=json.dumps({**value, "cluster": wrong}))
            wrong = {**value["cluster"], "createdAt": "2021-09-19T15:16:33Z"}
            yield variant("a date as text", body=json.dumps({**value, "cluster": wrong}))


def main():
    *flags, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        exchanges = [json.loads(line) for line in file]
    failures, checked = [], collections.Counter()
    for exchange in exchanges:
        try:
            result = check(exchange)
        except (Rejected, ValueError, xml.ParseError, KeyError, TypeError) as error:
            failures.append(f"{exchange['method']} {exchange['path']} {find_operation(exchange)[1]}: {error}\n    {exchange['body']}")
            continue
        if result is None:
            continue
        checked[result] += 1
        if flags == ["--prove"]:
            for what, copied in spoiled(exchange):
                try:
                    check(copied)
                except (Rejected, ValueError, xml.ParseError, KeyError, TypeError):
                    continue
                failures.append(f"{result}: not noticed: {what}\n    {copied['body']}")
    for (operation, what), count in sorted(checked.items()):
        print(f"{count:4} {operation}: {what}")
    for failure in failures:
        print(f"REJECTED {failure}", file=sys.stderr)
    if failures or not checked:
        sys.exit(1)


if __name__ == "__main__":
    main()
