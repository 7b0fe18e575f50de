package rotate_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/proposal"
	gitsync "coin.internal/coin-agent/sync"
	"coin.internal/coin-agent/sync/gittest"
)

// hub is a GitLab with the repository: git over HTTP, and the API.
type hub struct {
	*gitlabtest.Instance
	git    *gittest.HTTPServer
	client *gitlab.Client
	bare   string
}

func newHub(t *testing.T, l *lab) *hub {
	t.Helper()
	root := t.TempDir()
	h := &hub{Instance: gitlabtest.New(t), bare: filepath.Join(root, "coin-gitops.git")}
	l.Git("clone", "--quiet", "--bare", l.Dir, h.bare)
	h.git = gittest.HTTP(t, root, gittest.Options{Token: gitlabtest.Secret})
	l.Git("remote", "add", "origin", h.git.URL+"/coin-gitops.git")
	h.SetTips(func(branch string) string {
		out, err := exec.Command("git", "--git-dir", h.bare, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	})
	client, err := gitlab.New(gitlab.Options{URL: h.URL, Project: "coin/coin-gitops", TokenFile: h.TokenFile})
	if err != nil {
		t.Fatal(err)
	}
	h.client = client
	return h
}

func (l *lab) publish(h *hub, commit *proposal.Commit, remote gitsync.Remote) (gitlab.OpenMergeRequest, error) {
	l.t.Helper()
	tree, err := proposal.OpenWorktree(l.t.Context(), l.Dir)
	if err != nil {
		l.t.Fatal(err)
	}
	tree.Close()
	return proposal.Publisher{GitLab: h.client, Remote: remote}.Publish(l.t.Context(), tree, commit)
}

func TestPublish(t *testing.T) {
	l := newLab(t, nil)
	h := newHub(t, l)
	commit := l.must(generated("db_access")).Commit
	remote := gitsync.Remote{TokenFile: h.TokenFile}
	opened, err := l.publish(h, commit, remote)
	if err != nil || opened.Existed || !strings.HasSuffix(opened.URL, "/-/merge_requests/1") {
		t.Fatalf("got %+v, %v", opened, err)
	}
	made := h.MergeRequests()
	if len(made) != 1 || made[0].SHA != commit.Hash || made[0].TargetBranch != "master" || !made[0].ForceRemoveSource || made[0].Title != commit.Message ||
		!strings.Contains(*made[0].Description, "- node4: db_access.3 -> db_access.4") || strings.Contains(*made[0].Description, "Rotated-") {
		t.Errorf("opened %+v", made)
	}
	h.git.Requests()
	if again, err := l.publish(h, commit, remote); err != nil || !again.Existed || again.URL != opened.URL || len(h.git.Requests()) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	h.CloseMergeRequest(1)
	if anew, err := l.publish(h, commit, gitsync.Remote{URL: h.git.URL + "/coin-gitops.git"}); err != nil || anew.Number != 2 { // it is pushed, so it needs no token
		t.Errorf("after it was closed: %+v, %v", anew, err)
	}
	// The user is still on the branch, which GitLab has removed with the merge.
	h.Merge(2, commit.Hash)
	h.git.Requests()
	commit.Taken = true
	if again, err := l.publish(h, commit, remote); err == nil || !strings.Contains(err.Error(), "!2 has merged it") || fault.Hint(err) != "git switch master && git pull --ff-only, and run the command again" || len(h.git.Requests()) > 0 {
		t.Errorf("after it was merged: %+v, %v", again, err)
	}
}

// After every refusal the commit stays, and the next attempt succeeds.
func TestPublishRefused(t *testing.T) {
	conflict := `{"message":["Another open merge request already exists for this source branch: !1"]}`
	cases := map[string]struct {
		spoil  func(*hub, *gitsync.Remote)
		want   string
		remedy string
	}{
		"no right to push":   {func(_ *hub, r *gitsync.Remote) { r.TokenFile = gitlabtest.TokenFile(t, "wrong-token") }, "push rotate/sandbox/db_access-4 to http", "write_repository"},
		"no token to push":   {func(_ *hub, r *gitsync.Remote) { r.TokenFile = "" }, "push rotate/sandbox/db_access-4 to http", "git_token_file"},
		"ssh without a key":  {func(_ *hub, r *gitsync.Remote) { r.URL = "git@gitlab.example.com:coin/coin-gitops.git" }, "ssh_key_file or known_hosts_file is not set", "ssh_key_file"},
		"plain http":         {func(_ *hub, r *gitsync.Remote) { r.URL = "http://gitlab.example.com/coin.git" }, "is not sent over plain http", "https"},
		"narrow token":       {func(h *hub, _ *gitsync.Remote) { h.allow(gitlabtest.Developer, "read_api") }, "403 Forbidden", "scope api"},
		"reporter":           {func(h *hub, _ *gitsync.Remote) { h.allow(gitlabtest.Reporter, "api") }, "403 Forbidden", "Developer"},
		"not a member":       {func(h *hub, _ *gitsync.Remote) { h.allow(gitlabtest.NoMember, "api") }, "404 Project Not Found", "member"},
		"GitLab unavailable": {func(h *hub, _ *gitsync.Remote) { h.Inject(gitlabtest.Fault{Status: 502, Times: -1}) }, "502 Bad Gateway", ""},
		"conflict of others": {func(h *hub, _ *gitsync.Remote) {
			h.Inject(gitlabtest.Fault{Method: http.MethodPost, Status: 409, Body: conflict})
		}, "409 Conflict", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			h := newHub(t, l)
			commit := l.must(generated("db_access")).Commit
			remote := gitsync.Remote{TokenFile: h.TokenFile}
			c.spoil(h, &remote)
			_, err := l.publish(h, commit, remote)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.Hint(err), c.remedy) || strings.Contains(err.Error(), "wrong-token") {
				t.Fatalf("got %v (%s)", err, fault.Hint(err))
			}
			if got := l.Git("rev-parse", "HEAD"); got != commit.Hash {
				t.Errorf("HEAD is at %s", got)
			}
			h.Heal()
			h.allow(gitlabtest.Developer, "api")
			taken := l.must(generated("db_access")).Commit
			if _, err := l.publish(h, taken, gitsync.Remote{TokenFile: h.TokenFile}); err != nil || taken.Hash != commit.Hash {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

func (h *hub) allow(access gitlabtest.Access, scopes ...string) {
	h.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.User{ID: 101, Name: "coin-agent", Access: access}, Scopes: scopes})
}

// After a lost answer there is one merge request.
func TestPublishLostAnswer(t *testing.T) {
	l := newLab(t, nil)
	h := newHub(t, l)
	commit := l.must(generated("db_access")).Commit
	h.Inject(gitlabtest.Fault{Method: http.MethodPost, Path: "merge_requests", Lost: true})
	opened, err := l.publish(h, commit, gitsync.Remote{TokenFile: h.TokenFile})
	if err != nil || !opened.Existed || len(h.MergeRequests()) != 1 {
		t.Errorf("got %+v, %v", opened, err)
	}
}

// Credentials in the remote's address, as in CI jobs, are not shown.
func TestPublishHidesCredentials(t *testing.T) {
	l := newLab(t, nil)
	h := newHub(t, l)
	commit := l.must(generated("db_access")).Commit
	l.Git("remote", "set-url", "origin", strings.Replace(h.git.URL, "http://", "http://ci:canary-token@", 1)+"/coin-gitops.git")
	_, err := l.publish(h, commit, gitsync.Remote{})
	if err == nil || strings.Contains(err.Error()+fault.Hint(err), "canary") {
		t.Errorf("got %v", err)
	}
	l.Git("remote", "set-url", "origin", strings.Replace(h.git.URL, "http://", "http://ci:"+gitlabtest.Secret+"@", 1)+"/coin-gitops.git")
	if _, err := l.publish(h, commit, gitsync.Remote{}); err != nil {
		t.Errorf("got %v", err)
	}
}

// The author and the wish for a signature are those of git, also from a file that its configuration
// includes.
func TestIncludedConfiguration(t *testing.T) {
	l := newLab(t, nil)
	included := filepath.Join(t.TempDir(), "work")
	if err := os.WriteFile(included, []byte("[user]\n name = Grace Operator\n email = grace@work.example\n[commit]\n gpgsign\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Git("config", "includeIf.gitdir:"+l.Dir+"/.path", included)
	if commit := l.must(generated("db_access")).Commit; !commit.Unsigned {
		t.Error("the commit is not reported as unsigned")
	}
	if got := l.Git("log", "-1", "--format=%an <%ae>"); got != "Grace Operator <grace@work.example>" {
		t.Errorf("the author is %s", got)
	}
}

// If git is configured to sign commits, the commit is reported as unsigned. The next run
// finds the commit after it was signed.
func TestUnsigned(t *testing.T) {
	l := newLab(t, nil)
	l.Git("config", "commit.gpgsign", "true")
	commit := l.must(generated("db_access")).Commit
	if !commit.Unsigned {
		t.Error("the commit is not reported as unsigned")
	}
	key := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	l.Git("-c", "gpg.format=ssh", "-c", "user.signingkey="+key, "commit", "--quiet", "--amend", "--no-edit", "-S")
	if signed := l.must(generated("db_access")).Commit; signed.Unsigned || !signed.Taken || signed.Hash == commit.Hash {
		t.Errorf("signed: %+v", signed)
	}
}
