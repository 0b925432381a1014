package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWebhookDownLeavesPodsThatTheAuditFinds: no pod waits for a webhook that is
// gone, and none that started without the sidecar stays unnoticed.
func TestWebhookDownLeavesPodsThatTheAuditFinds(t *testing.T) {
	i := install(t, "audit.enabled=true")
	namespace := workspace(t)
	with := mustCreate(t, namespace, podOf(api(), "with"))
	if !injected(with) {
		t.Fatal("the pod was admitted without the sidecar while the webhook was up")
	}
	if out := i.audit(t); out.code != 0 {
		t.Fatalf("the audit exited with %d before anything was wrong:\n%s%s", out.code, out.stdout, out.stderr)
	}
	for _, r := range i.replicas {
		r.kill()
	}
	unwilling := podOf(api(), "unwilling")
	unwilling["metadata"].(object)["annotations"] = object{"countersign.dev/inject": "disabled"}
	mustCreate(t, namespace, unwilling)
	before := failedOpen(t)
	for n := range 3 {
		if pod := mustCreate(t, namespace, podOf(api(), fmt.Sprintf("without-%d", n))); injected(pod) {
			t.Fatal("a pod was injected by a webhook that is down")
		}
	}
	if passed := failedOpen(t) - before; passed != 3 {
		t.Errorf("the API server says that it passed over %v calls that failed, want 3", passed)
	}
	i.finds(t, namespace)

	back := i.startReplica(t, len(i.replicas))
	back.awaitReady(t)
	if pod := mustCreate(t, namespace, podOf(api(), "after")); !injected(pod) {
		t.Error("the pod was admitted without the sidecar after the webhook came back")
	}
	i.finds(t, namespace)
}

// finds fails the test unless the audit lists the three pods without a sidecar and
// no others, from inside of the cluster and from what kubectl prints.
func (i *installation) finds(t *testing.T, namespace string) {
	t.Helper()
	printed := cluster.mustTool(t, "", "kubectl", "get", "namespaces,pods", "--all-namespaces", "--output", "json")
	for from, out := range map[string]output{
		"the API server": i.audit(t),
		"kubectl":        runProgram(t, printed, nil, binary, "inject", "audit"),
	} {
		if out.code != 1 {
			t.Errorf("the audit from %s exited with %d, want 1:\n%s%s", from, out.code, out.stdout, out.stderr)
		}
		for n := range 3 {
			if !strings.Contains(out.stdout, fmt.Sprintf("without-%d", n)) {
				t.Errorf("the audit from %s does not list without-%d:\n%s", from, n, out.stdout)
			}
		}
		for _, other := range []string{"unwilling", "after", i.namespace} {
			if strings.Contains(out.stdout, other) {
				t.Errorf("the audit from %s lists %s:\n%s", from, other, out.stdout)
			}
		}
	}
}

// standsStill says whether each thread of a process has been stopped: a signal is
// on its way for a while.
func standsStill(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads of %d: %v, %v", pid, threads, err)
	}
	for _, thread := range threads {
		// The state follows the name in parentheses; a thread that has ended has none.
		if stat, err := os.ReadFile(thread); err == nil && !strings.Contains(string(stat), ") T ") {
			return false
		}
	}
	return true
}

// TestHungWebhookDelaysPodsForItsTimeoutAlone stops the replicas in their tracks,
// which are still sent to.
func TestHungWebhookDelaysPodsForItsTimeoutAlone(t *testing.T) {
	i := install(t)
	namespace := workspace(t)
	for _, r := range i.replicas {
		cluster.services.run(r.namespace+"/"+r.name, &pod{r.atPod, func() bool { return true }})
		if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.cmd.Process.Signal(syscall.SIGCONT) })
		eventually(t, "a stopped webhook should stand still", func() bool { return standsStill(t, r.cmd.Process.Pid) })
	}
	began := time.Now()
	if pod := mustCreate(t, namespace, podOf(api(), "api")); injected(pod) {
		t.Fatal("a pod was injected by a webhook that hangs")
	}
	if took := time.Since(began); took < 4*time.Second || took > 15*time.Second {
		t.Errorf("the pod waited for %v, want the webhook's timeout of 5 s", took)
	}
}
