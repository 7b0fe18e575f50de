package agent_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/record"
)

// hub is the double of GitLab, in the memory of the test.
type hub struct {
	*gitlabtest.Server
	w *world
}

// RoundTrip carries a request to the double.
func (h *hub) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// withHub has the agent ask the double about other nodes and merge requests.
func (w *world) withHub() *hub {
	w.t.Helper()
	h := &hub{Server: gitlabtest.NewServer(gitlabtest.Config{Branches: func(string) ([]string, bool) { return []string{"master"}, true }}), w: w}
	h.SetTips(func(branch string) string {
		if branch == "gone" {
			return ""
		}
		return strings.Repeat("f", 40)
	})
	w.change = func(p *agent.Parts) {
		client := h.as(gitlabtest.Agent())
		p.Statuses, p.Approvals = client, client
	}
	return h
}

// as gives a client with the token of a user.
func (h *hub) as(user gitlabtest.User) *gitlab.Client {
	h.w.t.Helper()
	h.SetToken("glpat-"+user.Name, gitlabtest.Token{User: user, Scopes: []string{"api"}})
	client, err := gitlab.New(gitlab.Options{
		URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: gitlabtest.TokenFile(h.w.t, "glpat-"+user.Name), Transport: h,
	})
	if err != nil {
		h.w.t.Fatal(err)
	}
	return client
}

// posts posts a status of a node as a user, in a pipeline; 0 for the newest one.
func (h *hub) posts(user gitlabtest.User, commit, node string, state gitlab.State) {
	h.w.t.Helper()
	report := gitlab.Report{Commit: commit, Ref: "master", Name: "coin-agent/sandbox/" + node, State: state}
	if _, err := h.as(user).Post(h.w.t.Context(), report, 0); err != nil {
		h.w.t.Fatal(err)
	}
}

// eve may write to the project, and so post any status.
func eve() gitlabtest.User {
	return gitlabtest.User{ID: 8, Name: "eve", Access: gitlabtest.Maintainer}
}

// A success that another user posts lets no node pass, and hides nothing that the agent
// posts.
func TestForgedSuccess(t *testing.T) {
	inWorld(t, func(w *world) {
		h := w.withHub()
		commit := w.commit("1", configFile, nodesConfig())
		h.posts(eve(), commit, "node1", gitlab.Success)
		h.posts(eve(), commit, "node2", gitlab.Success)
		w.start()
		w.waits("waiting for node1 (the status success of eve does not count: gitlab_agents does not name this user)")
		h.posts(gitlabtest.Agent(), commit, "node1", gitlab.Success)
		w.poll()
		w.waits("waiting for node2 (the status success of eve does not count")
		h.posts(gitlabtest.Agent(), commit, "node2", gitlab.Running)
		h.posts(eve(), commit, "node1", gitlab.Failed) // newer, and in the same pipeline
		h.posts(eve(), commit, "node2", gitlab.Success)
		w.poll()
		w.waits("waiting for node2")
		h.posts(gitlabtest.Agent(), commit, "node2", gitlab.Success)
		w.poll()
		w.wantLast(commit, record.Succeeded)
	})
}

// A failure that another user posts does not roll back a node, and does not stop one.
func TestForgedFailure(t *testing.T) {
	inWorld(t, func(w *world) {
		h := w.withHub()
		first := w.commit("1", configFile, groupConfig("secondary", goesBack))
		for _, node := range []string{"node1", "node2"} {
			h.posts(gitlabtest.Agent(), first, node, gitlab.Success)
		}
		w.start()
		w.poll()
		w.wantLast(first, record.Succeeded)
		second := w.commit("2", nodeDir+"node.env", "TAG=2\n")
		h.posts(gitlabtest.Agent(), second, "node1", gitlab.Pending)
		h.posts(eve(), second, "node2", gitlab.Failed)
		w.poll()
		w.wantLast(second, record.Succeeded)
		h.posts(eve(), second, "node1", gitlab.Failed)
		w.poll()
		w.poll()
		if sync := w.wantLast(second, record.Succeeded); sync.Group == nil || sync.Group.Failed != "" || sync.Group.Complete {
			w.t.Errorf("the group is %+v", sync.Group)
		}
		w.wantImage("app:2")
		if group := w.desk.Status().Group; !strings.Contains(group, "the status failed of eve does not count") {
			w.t.Errorf("the status says %q", group)
		}
		h.posts(gitlabtest.Agent(), second, "node1", gitlab.Failed)
		w.poll()
		w.wantLast(second, record.RolledBack)
		w.wantImage("app:1")
	})
}

// What is approved is the last push, by a second person, into the followed branch.
func TestForgedApproval(t *testing.T) {
	last := strings.Repeat("e", 40)
	const anyone = "approval: {required: true}\n"
	tests := map[string]struct {
		section string
		merge   gitlabtest.Merge
		tag     bool
		happens func(h *hub)
		want    string // "" where the commit rolls out
	}{
		"pushed after the approval": {anyone, gitlabtest.Merge{}, false, func(h *hub) {
			h.Approve(1, "bob")
			h.Push(1, "ada", last)
		}, "!1 has 0 of 1 approvals; not counted: bob did not approve its last commit eeeeeeeeee"},
		"a named approver's, too": {"approval: {required: true, approvers: [bob]}\n", gitlabtest.Merge{}, false, func(h *hub) {
			h.Approve(1, "bob")
			h.Push(1, "ada", last)
		}, "(of bob); not counted: bob did not approve"},
		"the board's, too": {"approval: {required: true, approvers: [carol], change_advisory_board: true, board: {members: [bob]}}\n", gitlabtest.Merge{}, false, func(h *hub) {
			h.Approve(1, "bob")
			h.Push(1, "ada", last)
			h.Approve(1, "carol")
		}, "not agreed to by the change advisory board: it takes an approval (of bob); not counted: bob did not approve"},
		"approved again":  {anyone, gitlabtest.Merge{}, false, func(h *hub) { h.Push(1, "ada", last); h.Approve(1, "bob") }, ""},
		"its opener's":    {anyone, gitlabtest.Merge{Author: "Eve"}, false, func(h *hub) { h.Approve(1, "eve") }, "not counted: eve opened it"},
		"its committer's": {anyone, gitlabtest.Merge{}, false, func(h *hub) { h.Wrote(1, gitlabtest.Writer{CommitterEmail: "eve@x.example"}); h.Approve(1, "eve") }, "not counted: eve wrote or pushed commits of it"},
		"who pushed under another's name": {anyone, gitlabtest.Merge{}, false, func(h *hub) {
			h.Push(1, "eve", last)
			h.Approve(1, "eve")
		}, "not counted: eve wrote or pushed commits of it"},
		"one of two": {"approval: {required: true, minimum: 2}\n", gitlabtest.Merge{}, false, func(h *hub) {
			h.Push(1, "eve", last)
			h.Approve(1, "eve", "bob")
		}, "!1 has 1 of 2 approvals; not counted: eve wrote"},
		"named in config.yml, and pushed": {"approval: {required: true, approvers: [bob]}\n", gitlabtest.Merge{}, false, func(h *hub) {
			h.Push(1, "bob", last)
			h.Approve(1, "bob")
		}, "(of bob); not counted: bob wrote or pushed commits of it"},
		"named in config.yml, and wrote": {"approval: {required: true, approvers: [bob, carol]}\n", gitlabtest.Merge{}, false, func(h *hub) {
			h.Wrote(1, gitlabtest.Writer{Name: "Bob"})
			h.Approve(1, "bob")
		}, "(of bob, carol); not counted: bob wrote or pushed commits of it"},
		"the other one who is named": {"approval: {required: true, approvers: [bob, carol]}\n", gitlabtest.Merge{}, false, func(h *hub) {
			h.Wrote(1, gitlabtest.Writer{Name: "Bob"})
			h.Approve(1, "bob", "carol")
		}, ""},
		"a board's member who wrote": {"approval: {required: true, approvers: [carol], change_advisory_board: true, board: {members: [bob]}}\n", gitlabtest.Merge{}, false, func(h *hub) {
			h.Wrote(1, gitlabtest.Writer{Name: "Bob"})
			h.Approve(1, "bob", "carol")
		}, "it takes an approval (of bob); not counted: bob wrote"},
		"for another target": {anyone, gitlabtest.Merge{Target: "feature"}, false, func(h *hub) {
			h.Approve(1, "bob")
			h.Retarget(1, "ada", "master", "")
		}, "not counted: bob approved it before its target branch was changed to master"},
		"for another target, again": {anyone, gitlabtest.Merge{Target: "feature"}, false, func(h *hub) {
			h.Approve(1, "bob")
			h.Retarget(1, "ada", "master", strings.Repeat("c", 40))
			h.Approve(1, "carol")
		}, ""},
		"not merged":                    {anyone, gitlabtest.Merge{State: "opened"}, false, func(h *hub) { h.Approve(1, "bob") }, "no merge request brought this commit, !1 is opened, not merged"},
		"into another branch":           {anyone, gitlabtest.Merge{Target: "feature"}, false, func(h *hub) { h.Approve(1, "bob") }, "!1 goes into feature, not master"},
		"a tag, into any branch":        {anyone, gitlabtest.Merge{Target: "feature"}, true, func(h *hub) { h.Approve(1, "bob") }, "!1 goes into feature, which is not a protected branch"},
		"a tag, into a removed branch":  {anyone, gitlabtest.Merge{Target: "gone"}, true, func(h *hub) { h.Approve(1, "bob") }, "which is not a protected branch"},
		"a tag, into the default one":   {anyone, gitlabtest.Merge{}, true, func(h *hub) { h.Approve(1, "bob") }, ""},
		"a tag, into a protected one":   {anyone, gitlabtest.Merge{Target: "stable"}, true, func(h *hub) { h.ProtectBranch("stable"); h.Approve(1, "bob") }, ""},
		"a commit in the middle of one": {anyone, gitlabtest.Merge{Commit: last, Commits: []string{"middle"}}, false, func(h *hub) { h.Approve(1, "bob") }, "!1 does not end with it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				h := w.withHub()
				commit := w.commit("1", configFile, approvalConfig+test.section)
				if test.merge.Commit == "" {
					test.merge.Commit = commit
				} else {
					test.merge.Commits = []string{commit}
				}
				if test.tag {
					w.revision.Tag, w.revision.Ref = true, "2026-01-14-bad1bad1ba"
				}
				h.AddMerge(test.merge)
				test.happens(h)
				w.start()
				if test.want != "" {
					w.said(test.want)
					return
				}
				w.wantLast(commit, record.Succeeded)
			})
		})
	}
}
