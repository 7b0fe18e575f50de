package rotate_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/proposal"
	"coin.internal/coin-agent/rotate"
)

// Bad input gives an error with its place and a hint, and nothing changes.
func TestRotateFaults(t *testing.T) {
	const dir = nodes + "node3/"
	plainVersions := func(text string) func(sopstest.Key, map[string]string) {
		return func(_ sopstest.Key, files map[string]string) {
			delete(files, dir+"secrets.override.enc")
			files[dir+"secrets.override.env"] = text
		}
	}
	cases := map[string]struct {
		change  func(sopstest.Key, map[string]string)
		before  func(*lab) // in the working copy
		request rotate.Request
		want    string
	}{
		"unknown secret":       {request: generated("other"), want: `the agent does not create a secret "other" on any node of sandbox`},
		"unknown on the node":  {request: generated("db_access", "node5"), want: nodes + `node5: the agent does not create a secret "db_access" on node node5`},
		"unknown node":         {request: generated("db_access", "node9"), want: `node "node9" is not in environment sandbox`},
		"unknown environment":  {request: rotate.Request{Name: "db_access", Environment: "moon", Generate: rotate.Generate{Length: 8}}, want: `"moon" is not in the repository`},
		"present value":        {request: given("db_access", "canary-old\n"), want: "the new value is the present value of node3, node4"},
		"empty":                {request: given("db_access", "\n"), want: "empty"},
		"too large":            {request: given("db_access", strings.Repeat("x", 500<<10)), want: "Swarm takes 511999 at most"},
		"no text":              {request: given("db_access", "canary\xff"), want: "not UTF-8 text"},
		"no length":            {request: rotate.Request{Name: "db_access", Environment: "sandbox"}, want: "a value of 0 characters"},
		"charset of one":       {request: rotate.Request{Name: "db_access", Environment: "sandbox", Generate: rotate.Generate{Length: 8, Charset: "a"}}, want: "1 characters"},
		"charset with doubles": {request: rotate.Request{Name: "db_access", Environment: "sandbox", Generate: rotate.Generate{Length: 8, Charset: "aab"}}, want: "twice"},
		"word as version":      {change: plainVersions("SV_db_access=two\n"), request: generated("db_access"), want: dir + "secrets.override.env:1: the version SV_db_access is not a number"},
		"derived version":      {change: plainVersions("SV_A=3\nSV_db_access=$SV_A\n"), request: generated("db_access"), want: dir + "secrets.override.env:2:1: the value of SV_db_access is not a plain text"},
		"no versioned name": {
			change: func(_ sopstest.Key, files map[string]string) {
				files[dir+"docker-compose.yml"] = strings.Replace(stack, ".$SV_db_access", "", 1)
			},
			request: generated("db_access"), want: "does not have a version in its name db_access",
		},
		"broken node": {
			change:  func(_ sopstest.Key, files map[string]string) { files[nodes+"node4/docker-compose.yml"] = "services: [" },
			request: generated("db_access"), want: nodes + "node4/docker-compose.yml",
		},
		"foreign key": {
			change: func(_ sopstest.Key, files map[string]string) {
				files[dir+"secrets.enc"] = sopstest.YAML(t, sopstest.NewKey(t), map[string]string{"db_access": "x", "server.key": "y"})
			},
			request: generated("db_access"), want: dir + "secrets.enc: no key opens the file",
		},
		"link": {
			change: func(_ sopstest.Key, files map[string]string) {
				files[nodes+"node4/secrets.enc"] = "-> ../node3/secrets.enc"
			},
			request: generated("db_access"), want: nodes + "node4/secrets.enc: " + nodes + "node4/secrets.enc is a symbolic link",
		},
		"not committed": {
			before:  func(l *lab) { l.append(nodes+"node4/secrets.override.enc", "# note\n") },
			request: generated("db_access"), want: nodes + "node4/secrets.override.enc: the file has changes that are not committed",
		},
		"staged": {
			before: func(l *lab) {
				content := l.append(nodes+"node4/secrets.override.enc", "# note\n")
				l.Git("add", "--all")
				l.write(nodes+"node4/secrets.override.enc", content)
			},
			request: generated("db_access"), want: nodes + "node4/secrets.override.enc: the file has changes that are not committed",
		},
		"new and not committed": {
			change: func(_ sopstest.Key, files map[string]string) { delete(files, dir+"secrets.override.enc") },
			before: func(l *lab) { l.write(dir+"secrets.override.env", "SV_other=1\n") }, request: generated("db_access", "node3"),
			want: dir + "secrets.override.env: the file is not in git's last commit",
		},
		"branch exists": {
			before: func(l *lab) { l.Git("branch", "rotate/sandbox/db_access-4") }, request: generated("db_access"),
			want: "the branch rotate/sandbox/db_access-4 exists already",
		},
		"invalid branch": {
			request: rotate.Request{Name: "db_access", Environment: "sandbox", Generate: rotate.Generate{Length: 8}, Branch: "a..b"},
			want:    "is not a valid branch name",
		},
		"no author": {
			before:  func(l *lab) { l.t.Setenv("HOME", "/nonexistent") },
			request: generated("db_access"), want: "does not have a user.name and a user.email",
		},
		"bad author": {
			request: rotate.Request{Name: "db_access", Environment: "sandbox", Generate: rotate.Generate{Length: 8}, Author: "ada"},
			want:    "--author is not a name",
		},
		"git at work": {
			before:  func(l *lab) { l.write(".git/index.lock", "") },
			request: generated("db_access"), want: "another git process works in this working copy",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, c.change)
			if c.before != nil {
				c.before(l)
			}
			state := l.state()
			_, err := l.rotate(c.request)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if fault.Hint(fault.All(err)[0]) == "" {
				t.Errorf("no hint: %v", err)
			}
			if got := l.state(); got != state {
				t.Errorf("changed: %s\nwas: %s", got, state)
			}
		})
	}
}

func (l *lab) write(name, content string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) append(name, text string) (before string) {
	l.t.Helper()
	content, err := os.ReadFile(filepath.Join(l.Dir, name))
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(name, string(content)+text)
	return string(content)
}

// state gives the state of git and of the working copy.
func (l *lab) state() string {
	l.t.Helper()
	return l.Git("--no-optional-locks", "status", "--branch", "--porcelain") + l.Git("for-each-ref") + l.Git("--no-optional-locks", "diff", "HEAD", "--", "environments")
}

func TestRotateOutsideGit(t *testing.T) {
	if _, err := proposal.OpenWorktree(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "not in a git working copy") {
		t.Errorf("got %v", err)
	}
	l := newLab(t, nil)
	l.keys = nil
	if _, err := l.rotate(generated("db_access")); err == nil || !strings.Contains(err.Error(), "without a key") {
		t.Errorf("got %v", err)
	}
	tree, err := proposal.OpenWorktree(t.Context(), l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	l.write("value", "canary")
	if err := tree.Outside(filepath.Join(l.Dir, "value")); err == nil || fault.Hint(err) == "" {
		t.Error("a value inside the working copy is accepted")
	}
	if err := tree.Outside(filepath.Join(t.TempDir(), "value")); err != nil {
		t.Errorf("got %v", err)
	}
	tree.Close()
	l.Git("sparse-checkout", "set", "environments")
	if _, err := proposal.OpenWorktree(t.Context(), l.Dir); err == nil || !strings.Contains(err.Error(), "worktreeconfig") || !strings.Contains(fault.Hint(err), "git clone URL") {
		t.Errorf("in a sparse checkout: got %v\nhint: %s", err, fault.Hint(err))
	}
}

// If the last file cannot be written, those before it are restored.
func TestCommitIsAtomic(t *testing.T) {
	l := newLab(t, nil)
	tree, err := proposal.OpenWorktree(t.Context(), l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // only read from
	fsys, _ := root.FS().(fs.ReadLinkFS)
	plan, err := rotate.MakePlan(t.Context(), fsys, l.keys, generated("db_access"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(l.Dir, nodes, "node5")); err != nil {
		t.Fatal(err)
	}
	l.write(nodes+"node5", "a file where the folder was\n")
	before := l.state()
	plan.Files = append(plan.Files, proposal.File{Path: nodes + "node5/secrets.override.env", After: []byte("SV_x=1\n")})
	if _, err := tree.Commit(proposal.Draft{Files: plan.Files, Branch: "rotate/atomic", Message: "Rotate\n"}); err == nil || !strings.Contains(err.Error(), "node5/secrets.override.env") {
		t.Fatalf("got %v", err)
	}
	tree.Close()
	if after := l.state(); after != before {
		t.Errorf("changed: %s\nwas: %s", after, before)
	}
	if value, name := l.sees("node3", "db_access"); value != "canary-old" || name != "db_access.3" {
		t.Errorf("node3 has %q as %s", value, name)
	}
	if err := os.Remove(filepath.Join(l.Dir, nodes, "node5")); err != nil {
		t.Fatal(err)
	}
	l.Git("checkout", "--", ".")
	l.must(generated("db_access"))
}

// The next run finishes a run that was killed at any point after its commit, with the
// value that was committed.
func TestRotateTakesUp(t *testing.T) {
	for name, interrupt := range map[string]func(*lab){
		"before the files": func(l *lab) { l.Git("switch", "--quiet", "master") },
		"among the files": func(l *lab) {
			branch := l.Git("symbolic-ref", "--short", "HEAD")
			l.Git("switch", "--quiet", "master")
			l.Git("restore", "--source", branch, "--worktree", nodes+"node3")
		},
		"before the index": func(l *lab) {
			l.Git("symbolic-ref", "HEAD", "refs/heads/master")
			l.Git("reset", "--quiet")
		},
		"before HEAD": func(l *lab) { l.Git("symbolic-ref", "HEAD", "refs/heads/master") },
		"after all":   func(*lab) {},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			first := l.must(generated("db_access"))
			value, _ := l.sees("node3", "db_access")
			interrupt(l)
			second := l.must(generated("db_access"))
			if again, name := l.sees("node4", "db_access"); again != value || name != "db_access.4" || !second.Commit.Taken || second.Commit.Hash != first.Commit.Hash {
				t.Errorf("took up %+v; node4 has %q as %s", second.Commit, again, name)
			}
			if _, err := l.rotate(given("db_access", "canary-other")); err == nil || !strings.Contains(err.Error(), "with another value") || fault.Hint(err) == "" {
				t.Errorf("another value: got %v", err)
			}
			l.Git("switch", "--quiet", "master")
			l.Git("merge", "--quiet", first.Commit.Branch)
			l.Git("branch", "--quiet", "-d", first.Commit.Branch)
			if third := l.must(generated("db_access")); third.Commit.Taken || third.Commit.Branch != "rotate/sandbox/db_access-5" {
				t.Errorf("after the merge: %+v", third.Commit)
			}
		})
	}
}

// The next run knows the value of a whole file, which SOPS has laid out in its own way.
func TestRotateTakesUpAWholeFile(t *testing.T) {
	l := newLab(t, func(key sopstest.Key, files map[string]string) {
		files[nodes+"node3/secrets.enc"] = sopstest.YAML(t, key, map[string]string{"db_access": "canary-old"})
		files[nodes+"node3/secrets/server.key.enc"] = sopstest.YAML(t, key, map[string]string{"user": "ada", "password": "canary-old"})
	})
	request := func(password string) rotate.Request {
		return given("server.key", "user:   'ada'\npassword:   \""+password+"\"\n", "node3")
	}
	first := l.must(request("canary-new"))
	if value, _ := l.sees("node3", "server.key"); strings.Contains(value, "user:   ") || !strings.Contains(value, "canary-new") {
		t.Fatalf("the file is %q", value)
	}
	if second := l.must(request("canary-new")); !second.Commit.Taken || second.Commit.Hash != first.Commit.Hash {
		t.Errorf("took up %+v", second.Commit)
	}
	for _, other := range []rotate.Request{request("canary-other"), given("server.key", "canary: [", "node3")} {
		if _, err := l.rotate(other); err == nil || !strings.Contains(err.Error(), "with another value") || strings.Contains(err.Error(), "canary") {
			t.Errorf("another value: got %v", err)
		}
	}
}

// A run that finishes a rotation does not overwrite changes by hand.
func TestRotateTakesUpNothingChanged(t *testing.T) {
	l := newLab(t, nil)
	l.must(generated("db_access"))
	l.Git("switch", "--quiet", "master")
	l.append(nodes+"node3/secrets.enc", "# by hand\n")
	if _, err := l.rotate(generated("db_access")); err == nil || !strings.Contains(err.Error(), "has a rotation of db_access that was not finished") {
		t.Errorf("got %v", err)
	}
}

func TestGenerate(t *testing.T) {
	for charset, allowed := range map[string]string{
		"alnum": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "hex": "0123456789abcdef", "0123456789": "0123456789", "äöü": "äöü",
	} {
		l := newLab(t, nil)
		result := l.must(rotate.Request{Name: "db_access", Environment: "sandbox", Generate: rotate.Generate{Length: 4000, Charset: charset}})
		value, _ := l.sees("node3", "db_access")
		count := map[rune]int{}
		for _, r := range value {
			count[r]++
		}
		mean := 4000 / len([]rune(allowed))
		for _, r := range allowed {
			if count[r] < mean/3 || count[r] > 3*mean {
				t.Errorf("%s: %q came %d times, %d are to be expected", charset, r, count[r], mean)
			}
		}
		if len(count) != len([]rune(allowed)) || len([]rune(value)) != 4000 || len(result.Plan.Notes) > 0 {
			t.Errorf("%s: %d characters of %d kinds; notes %q", charset, len([]rune(value)), len(count), result.Plan.Notes)
		}
	}
	l := newLab(t, nil)
	result := l.must(rotate.Request{Name: "db_access", Environment: "sandbox", Generate: rotate.Generate{Length: 6, Charset: "0123456789"}})
	if len(result.Plan.Notes) != 1 || !strings.Contains(result.Plan.Notes[0], "only 19 bits") {
		t.Errorf("notes %q", result.Plan.Notes)
	}
}
