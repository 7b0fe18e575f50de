package main

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/record"
)

var looseObject = regexp.MustCompile(`/objects/[0-9a-f]{2}/[0-9a-f]{38}$`)

// repository notes all that lies in a git repository and its working copy: files
// as they are, loose objects unpacked, and all objects as git reads them, packed
// ones and those that nothing leads to among them.
func (w witness) repository(l *lab, when, dir string) {
	l.t.Helper()
	objects := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		w[when+": "+path] = string(content)
		if !looseObject.MatchString(path) {
			return nil
		}
		objects++
		unpacked, err := zlib.NewReader(bytes.NewReader(content))
		if err != nil {
			return err
		}
		plain, err := io.ReadAll(unpacked)
		w[when+": unpacked "+path] = string(plain)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if objects == 0 {
		l.t.Errorf("%s: no loose object below %s", when, dir)
	}
	w[when+": all objects of "+dir] = l.repo.Git("-C", dir, "cat-file", "--batch-all-objects", "--unordered", "--batch", "--buffer")
}

// process notes what others can see of a process.
func (w witness) process(l *lab, when string, pid int) {
	for _, file := range []string{"environ", "cmdline", "comm", "limits"} {
		content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
		if err != nil {
			l.t.Fatal(err)
		}
		w[when+": "+file] = string(content)
	}
}

// killedPushing rotates, and kills the process while it pushes: what it is can be
// seen then, and the next run finishes what it began.
func (w witness) killedPushing(l *lab, when, clone string, args ...string) {
	l.t.Helper()
	pushing := make(chan struct{}, 1)
	l.git.Hang(func(r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			return false
		}
		select {
		case pushing <- struct{}{}:
		default:
		}
		return true
	})
	defer l.git.Hang(nil)
	command := l.rotation(clone, args...)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		l.t.Fatal(err)
	}
	select {
	case <-pushing:
		w.process(l, when+", pushing", command.Process.Pid)
	case <-time.After(patience):
		l.t.Error("the rotation never pushed")
	}
	_ = command.Process.Kill()
	_ = command.Wait()
	w[when+": said"] = said.String()
}

// rotated notes a whole rotation: killed once, taken up, merged. The value comes
// from standard input, unless it is generated.
func (w witness) rotated(l *lab, when, clone, value string, args ...string) (merge string) {
	l.t.Helper()
	l.repo.Git("-C", clone, "switch", "--quiet", "master")
	l.repo.Git("-C", clone, "pull", "--quiet", "--ff-only")
	if value == "" {
		w.killedPushing(l, when, clone, args...)
	}
	command := l.rotation(clone, args...)
	command.Stdin = strings.NewReader(value)
	out, err := command.CombinedOutput()
	w[when+": agent secrets rotate"] = string(out)
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", when, err, out)
	}
	made := decode[proposed](l.t, string(out))
	if made.Commit.Taken != (value == "") || made.MergeRequest == "" {
		l.t.Errorf("%s: %+v", when, made)
	}
	return l.merge(made.Commit.Branch)
}

// refusedSync commits a file that SOPS will not open and notes what is said.
func (w witness) refusedSync(l *lab, when, name, content string) {
	l.t.Helper()
	spoiled := l.commit(when, map[string]string{name: content})
	status := l.await(spoiled, record.Failed)
	if !strings.Contains(status.Sync.Error, name) || status.Sync.Hint == "" {
		l.t.Errorf("%s: the error is %q, the hint %q", when, status.Sync.Error, status.Sync.Hint)
	}
	l.posts(spoiled, "failed")
	w.everything(l, when)
	w.commands(l, when, "check "+l.repo.Dir, "check -o json "+l.repo.Dir)
	out, _ := l.rotation(l.repo.Dir, "db_access", "--environment", "sandbox", "--generate", "32").CombinedOutput()
	w[when+": agent secrets rotate"] = string(out)
}

// TestCanaryRotation rotates to a generated value and to a given one, has the
// engine refuse one and SOPS another with words that quote them, and looks for
// the values, those of before among them, in every place.
func TestCanaryRotation(t *testing.T) {
	l, _ := newSmallLab(t)
	engine := l.echoing()
	first := l.commit("with a config", map[string]string{
		node3 + "docker-compose.yml": strings.Replace(smallCompose, "    secrets: [web_auth]\n", "    secrets: [web_auth]\n    configs: [site]\n", 1) +
			"configs:\n  site: {file: ./site.conf, name: \"${STACK}_site.1\"}\n",
		node3 + "site.conf": "listen 8080\n",
	})
	clone, seen := l.clone(), witness{}
	l.running(first)

	engine.refusing.Store(true)
	merge := seen.rotated(l, "generated", clone, "", "web_auth", "--environment", "sandbox", "--generate", "40")
	generated := l.value("web_auth")
	l.await(merge, record.Failed)
	l.posts(merge, "failed")
	seen.everything(l, "generated, refused")
	engine.refusing.Store(false)
	seen.commands(l, "generated, retried", "sync --wait")
	l.await(merge, record.Succeeded)
	if _, content := l.sees("worker", "web_auth"); content != generated {
		t.Error("the worker does not read the generated value")
	}

	const given = "version: 8\ncanary-given-through-a-pipe-4be1d0c7a9"
	merge = seen.rotated(l, "given", clone, given, "db_access", "--environment", "sandbox", "--value-file", "-")
	l.await(merge, record.Succeeded)
	if version, _ := l.sees("web", "db_access"); version != "8" {
		t.Errorf("web reads version %q", version)
	}
	seen.everything(l, "given")
	seen["given: docker config inspect"] = l.swarm.Docker(t, "", "config", "inspect", l.stack+"_site.1")
	seen.commands(l, "given", "secrets list", "secrets list -o json", "secrets gc --dry-run", "secrets gc -o json", "audit log -o json")
	seen.repository(l, "given", clone)
	seen.repository(l, "given", l.repo.Dir)

	sealed, err := os.ReadFile(filepath.Join(l.repo.Dir, node3+"secrets.enc"))
	if err != nil {
		t.Fatal(err)
	}
	seen.refusedSync(l, "of another type", node3+"secrets.enc", strings.ReplaceAll(string(sealed), "type:str]", "type:int]"))
	const bare = "canary-saved-in-the-clear-93b0e1f6"
	seen.refusedSync(l, "not well-formed", node3+"secrets.enc", "db_access=ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\n"+bare+"\nsops_version=3.13.3\nsops_mac=x\n")
	l.stop()
	seen.files(l, "stopped")
	seen.commands(l, "stopped", "status -o json", "history -o json", "sync --once")

	hunted := needlesOf(append(slices.Sorted(maps.Values(canaries)), generated, given, bare)...)
	for place, text := range seen {
		if found := hunted.in(text); len(found) > 0 {
			t.Errorf("%s shows %q", place, found)
		}
	}
	seen.expected(t)
}

// expected proves that the search saw what it was to see.
func (w witness) expected(t *testing.T) {
	t.Helper()
	for place, text := range map[string]string{
		"generated, refused: log": "message is withheld", "generated, pushing: cmdline": "--generate",
		"generated, pushing: limits": "Max core file size        0                    0",
		"given: GitLab":              "merge_requests", "given: docker config inspect": "site.1",
		"of another type: log": "does not decrypt", "not well-formed: log": "not valid SOPS dotenv",
		"of another type: agent secrets rotate": "does not decrypt", "not well-formed: agent secrets rotate": "not valid SOPS",
	} {
		if !strings.Contains(w[place], text) {
			t.Errorf("%s does not have %q: %s", place, text, fmt.Sprintf("%.2000s", w[place]))
		}
	}
}
