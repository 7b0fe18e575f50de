package agent_test

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/record"
)

// A commit that waits, and that another one replaces, has not failed: the metric by which operators
// are woken says what the one before came to, also after a restart.
func TestDeploymentStatusWhileCommitsWait(t *testing.T) {
	const status = `deployment_status{environment="sandbox",node="node3"} `
	inWorld(t, func(w *world) {
		w.commit("0", configFile, string(w.files[configFile].Data)+"approval: {required: true}\n")
		w.start()
		w.poll()
		if w.wantLast(w.revision.Commit, record.Waiting); strings.Contains(w.scrape(), status) {
			t.Error("there is a status before the first sync has ended")
		}
		w.halt()
		w.commit("1", configFile, strings.TrimSuffix(string(w.files[configFile].Data), "approval: {required: true}\n"))
		w.start()
		w.wantLast(w.revision.Commit, record.Succeeded)
		config := string(w.files[configFile].Data) + "approval: {required: true}\n"
		for _, tag := range []string{"2", "3", "4"} {
			commit := w.release(tag, configFile, config)
			w.poll()
			w.wantLast(commit, record.Waiting)
			w.wantMetrics(status + "1")
		}
		w.halt()
		w.start()
		w.wantMetrics(status + "1")
		bad := w.release("5", nodeDir+"docker-compose.yml", badCompose)
		w.poll()
		w.wantLast(bad, record.Failed)
		w.wantMetrics(status + "0")
	})
}
