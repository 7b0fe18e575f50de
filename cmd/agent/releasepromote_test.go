package main

import (
	"fmt"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/release"
)

// A promotion needs a proof and answers. It makes one commit and one merge request, however
// often it is called.
func TestPromote(t *testing.T) {
	r := newReleases(t)
	const promote = "release promote sandbox testing --no-input"
	r.agent(exitUsage, "release promote sandbox production", "a release does not move from sandbox to production", "agent release promote testing production")
	r.agent(exitUsage, promote+" --unproven", "use --unproven and --reason together")
	r.agent(exitUsage, promote, "testing lacks settings that sandbox has", `DB_TIMEOUT, which is "30" in environments/sandbox/common/project.env`, "--set DB_TIMEOUT=VALUE")
	const answered = promote + " --set DB_TIMEOUT=60"
	r.agent(exitError, answered, "node3: no status in the last 200 commits of the branch", "--unproven")
	r.post(gitlab.Failed, "rollout failed")
	r.agent(exitError, answered, "node3: failed: rollout failed")
	r.post(gitlab.Success, "done")
	r.agent(exitDifferent, answered+" --dry-run", "+    command: serve --fast", "+DB_TIMEOUT=60", "nothing was changed")
	if len(r.MergeRequests()) > 0 || r.repo.Git("status", "--porcelain") != "" {
		t.Fatal("something was changed")
	}
	start := r.repo.Head()
	r.agent(exitDone, answered, "proven node3", "/-/merge_requests/1")
	branch := "promote/sandbox-to-testing-" + start[:10]
	made := r.MergeRequests()
	if len(made) != 1 || made[0].SourceBranch != branch || made[0].TargetBranch != "master" || made[0].Title != "Promote configuration: sandbox → testing" {
		t.Fatalf("opened %+v", made)
	}
	for _, text := range []string{"## Changes\n", "## Review Required\n", "## Next Steps\n", "1. Approve the merge request: 1 of ada.", "change advisory board", "node3 succeeded with commit"} {
		if !strings.Contains(*made[0].Description, text) {
			t.Errorf("no %q in\n%s", text, *made[0].Description)
		}
	}
	message := r.repo.Git("log", "-1", "--format=%B")
	if !strings.HasPrefix(message, "config: promote sandbox → testing\n") || !strings.Contains(message, "Refs: "+start) {
		t.Errorf("message %s", message)
	}
	if got := r.repo.Git("show", "HEAD:"+toNode+"docker-compose.yml"); !strings.Contains(got, "8080:80") || !strings.Contains(got, "--fast") {
		t.Errorf("got %s", got)
	}

	r.agent(exitDone, answered, "finished the commit of an earlier run", "/-/merge_requests/1") // on its branch
	r.repo.Git("switch", "--quiet", "master")
	r.agent(exitDone, answered, "finished the commit of an earlier run", "/-/merge_requests/1")
	r.repo.Git("switch", "--quiet", "master")
	r.repo.Commit("Else", map[string]string{"README": "x"})
	r.agent(exitDone, answered, "it is an earlier promotion from sandbox to testing")
	if made := r.MergeRequests(); len(made) != 1 {
		t.Errorf("opened %d merge requests", len(made))
	}

	r.repo.Git("merge", "--quiet", "--no-edit", branch)
	r.pushed()
	r.Merge(1, r.repo.Head())
	r.agent(exitDone, promote, "nothing to promote: testing has release 2025-12-15-11eeef9e99")
}

// A node that succeeded with other files proves nothing; with the same ones in another commit it
// does. A user may move what is not proven, with a reason.
func TestPromoteProof(t *testing.T) {
	r := newReleases(t)
	r.post(gitlab.Success, "done")
	const promote = "release promote sandbox testing --no-input --leave DB_TIMEOUT --dry-run"
	for i := range 25 { // more than a page that lists the nodes searches
		r.repo.Commit("Unconcerned", map[string]string{"README": fmt.Sprint(i)})
		r.AddCommit(r.repo.Head(), "master")
	}
	r.pushed()
	r.agent(exitDifferent, promote, "proven node3")
	r.repo.Commit("Other files", map[string]string{fromNode + "node.env": "TAG=2025-12-16-aaaaaaaaaa\n"})
	r.pushed()
	r.agent(exitError, promote, "in which its files differ")
	r.agent(exitDifferent, promote+" --unproven --reason repair", "not proven node3")
	r.AddOpen(gitlabtest.Open{Source: "promote/sandbox-to-testing-0123456789"}) // another user's is not an earlier one
	r.agent(exitError, strings.TrimSuffix(promote, " --dry-run"), "!1 of branch promote/sandbox-to-testing-0123456789", "but is by ada", "merge or close it first")
}

// A user who finishes an earlier run's promotion, and moves it unproven, says why in the merge
// request.
func TestUnprovenIsFinished(t *testing.T) {
	r := newReleases(t)
	r.post(gitlab.Success, "done")
	const promote = "release promote sandbox testing --no-input --leave DB_TIMEOUT"
	r.agent(exitDone, promote+" --no-merge-request", "proven node3")
	r.repo.Git("switch", "--quiet", "master")
	r.post(gitlab.Failed, "it is not healthy")
	r.agent(exitError, promote, "node3: failed: it is not healthy")
	r.agent(exitDone, promote+" --unproven --reason repair", "finished the commit of an earlier run", "/-/merge_requests/1")
	if text := *r.MergeRequests()[0].Description; !strings.Contains(text, "**Not proven in sandbox**: repair") {
		t.Errorf("the merge request does not say why:\n%s", text)
	}
}

// A promotion whose result `agent check` refuses ends with exit code 3, also when it is finished
// later. Its merge request says what to correct.
func TestPromoteWithProblems(t *testing.T) {
	r := newReleases(t)
	r.repo.Commit("Shard", map[string]string{
		fromNode + "docker-compose.yml": "services:\n  web:\n    image: web:$TAG\n    ports: ['80:80']\n\n    command: serve --shard $SHARD\n",
		fromNode + "node.env":           "TAG=2025-12-15-11eeef9e99\nSHARD=1\n",
	})
	r.pushed()
	r.post(gitlab.Success, "done")
	const promote = "release promote sandbox testing --no-input --leave DB_TIMEOUT --leave SHARD"
	r.agent(exitDifferent, promote, "problem", "SHARD", "/-/merge_requests/1")
	if text := *r.MergeRequests()[0].Description; !strings.Contains(text, "Correct what `agent check` finds") || !strings.Contains(text, "SHARD") {
		t.Errorf("the merge request does not say what to correct:\n%s", text)
	}
	r.repo.Git("switch", "--quiet", "master")
	r.agent(exitDifferent, promote, "problem", "SHARD", "finished the commit of an earlier run")
}

// A setting that looks like a secret is not asked for, not taken from --set, and not pushed with
// the commit of an earlier run.
func TestPromoteRefusesSecrets(t *testing.T) {
	r := newReleases(t)
	r.repo.Commit("Mail", map[string]string{"environments/sandbox/common/project.env": "LOG_LEVEL=debug\nSMTP_PASSWORD=canary-3f9c1e\n"})
	r.pushed()
	r.post(gitlab.Success, "done")
	const promote, refused = "release promote sandbox testing", "environments/testing/common/project.env: SMTP_PASSWORD looks like a secret"
	r.agent(exitUsage, promote, refused, "--leave SMTP_PASSWORD")
	r.agent(exitUsage, promote+" --no-input", refused)
	r.agent(exitError, promote+" --no-input --set SMTP_PASSWORD=canary-77", refused)
	r.agent(exitDone, promote+" --no-input --leave SMTP_PASSWORD --no-merge-request", "open a merge request")
	r.repo.Write(map[string]string{"environments/testing/common/project.env": "SMTP_PASSWORD=canary-77\n"})
	r.repo.Git("commit", "--quiet", "--all", "--amend", "--no-edit")
	out := r.agent(exitError, promote+" --no-input", "environments/testing/common/project.env:1: SMTP_PASSWORD looks like a secret in plaintext")
	branches := r.repo.Git("--git-dir", r.bare, "for-each-ref", "--format=%(refname)", "refs/heads")
	if strings.Contains(out, "canary") || branches != "refs/heads/master" || len(r.MergeRequests()) > 0 {
		t.Errorf("pushed to %s; said %s", branches, out)
	}
}

// TestWaitUnchanged waits in a clone for a node that posts no status of a commit that changes
// nothing for it. Without a clone it names the remedy.
func TestWaitUnchanged(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	r.post(gitlab.Success, "done")
	r.repo.Commit("Unconcerned", map[string]string{"README": "Notes\n"})
	r.pushed()
	const wait = "wait --environment sandbox --commit master --poll 1s --settle 1s"
	r.command(exitDone, wait+" --timeout 1m --repo "+r.repo.Dir, "node3: succeeded: its files are those of ")
	r.command(exitTimeout, wait+" --timeout 3s --repo "+t.TempDir(), "node3: no status", "or name the nodes that the commit concerns with --node")
	r.repo.Commit("Concerned", map[string]string{fromNode + "node.env": "TAG=2025-12-16-aaaaaaaaaa\n"})
	r.pushed()
	r.command(exitTimeout, wait+" --timeout 3s --repo "+r.repo.Dir, "node3: no status")
}

// TestPromotionScreen begins each table with a line of its own.
func TestPromotionScreen(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	plan := release.PromotionPlan{
		From: "sandbox", To: "testing", Files: []proposal.File{{Path: "node.env"}},
		Lacking:   []release.Lacking{{Name: "LOG_LEVEL", Value: "info", Of: "project.env"}},
		Flags:     []release.Differs{{Node: "test1", Name: "FEATURE_A", From: "true", To: "false"}},
		Resources: []release.Resource{{Node: "test1", Service: "api", What: "replicas", From: "3", To: "2", After: "3"}},
	}
	if err := printPage(newPrinter(&out), promotedScreen, promoted{Plan: &plan}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"in project.env\nNODE   FLAG", "false\nNODE   SERVICE"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
