// Command controlplane is one multi-call binary of the real Kubernetes control plane: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler and kubectl. The first argument (or the name it is called by) says which.
//
// It exists because no registry that a plain toolchain reaches ships these binaries, while their Go modules do
// travel. It adds one thing to them: with SANDBOX_DIE_WITH_STDIN set, a process ends as soon as its standard input
// is closed, so that nothing of a world outlives the process that started it, however that one died.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	name := filepath.Base(os.Args[0])
	if !known(name) {
		if len(os.Args) < 2 || !known(os.Args[1]) {
			fmt.Fprintf(os.Stderr, "usage: %s etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl [ARGUMENT...]\n", name)
			os.Exit(2)
		}
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	if os.Getenv("SANDBOX_DIE_WITH_STDIN") != "" {
		go dieWithStdin()
	}
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kubectl":
		if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	default:
		os.Exit(cli.Run(components[name]()))
	}
}

func known(name string) bool {
	_, component := components[name]
	return component || name == "etcd" || name == "kubectl"
}

// dieWithStdin kills this process when its standard input ends. SIGKILL and not an orderly end: after SIGTERM with
// its etcd already gone an API server lives on for a quarter of an hour, holding its port.
func dieWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}
