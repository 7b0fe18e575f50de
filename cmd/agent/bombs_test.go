package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/waitfor"
)

// bombs are commits that cost much more than they have, with the limit that refuses each.
var bombs = []struct {
	name, stage, limit string
	files              func(l *lab) map[string]string
}{
	{"12 KB of nested defaults", "render", "nesting", edited("SERVICE_NAME: worker", `SERVICE_NAME: "`+strings.Repeat("${A:-", 2000)+strings.Repeat("}", 2000)+`"`)},
	{"1.8 MB of nested defaults in node.env", "load", "variables_bytes", plain(node3+"node.env", "A="+strings.Repeat("${A:-", 360_000)+"\n")},
	{"380 KB of arithmetic in node.env", "load", "brackets", plain(node3+"node.env", strings.Repeat("((-\n", 95_000))},
	{"aliases in config.yml", "load", "yaml_values", func(l *lab) map[string]string {
		return map[string]string{sandbox + "config.yml": l.smallRepo()[sandbox+"config.yml"] + aliases()}
	}},
	{"aliases in a compose file", "render", "yaml_values", func(*lab) map[string]string {
		return map[string]string{composeFile: smallCompose + aliases()}
	}},
	{"a template of 1.4 MB", "load", "stack_bytes", func(*lab) map[string]string {
		return map[string]string{
			"templates/project.env.template": strings.Repeat("A={{A}}{{A}}\n", 100_000),
			sandbox + "common/project.env":   "A=" + strings.Repeat("x", 60<<10) + "\n",
		}
	}},
	{"a pack of zeros", "fetch", "fetch_bytes", plain(sandbox+"common/zeros", strings.Repeat("\x00", 200<<20))},
	{"a file of zeros", "render", "file_bytes", func(*lab) map[string]string {
		return map[string]string{
			composeFile: strings.Replace(smallCompose, "env_file: $PROJECT_SETTINGS", "env_file: zeros", 1), node3 + "zeros": strings.Repeat("\x00", 20<<20),
		}
	}},
}

func aliases() string {
	text := "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		text += fmt.Sprintf("x-%d: &a%[1]d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return text
}

// TestBombs commits one bomb after another. Each is held with its limit, the same daemon lives
// on with little memory, and what ran still runs.
func TestBombs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	good := l.smallRepo()
	first := l.commit("first", good)
	l.start()
	l.await(first, record.Succeeded)
	before := l.versions()
	for _, bomb := range bombs {
		t.Run(bomb.name, func(t *testing.T) {
			files := bomb.files(l)
			sha := l.commit(bomb.name, files)
			held := l.await(sha, record.Failed).Sync
			if string(held.Stage) != bomb.stage || !held.Held() || !strings.Contains(held.Error, "limits."+bomb.limit+" allows") || !strings.Contains(held.Hint, "raise "+bomb.limit) {
				t.Errorf("stage %s, held %t: %s (%s)", held.Stage, held.Held(), held.Error, held.Hint)
			}
			if diff := cmp.Diff(before, l.versions()); diff != "" {
				t.Error(diff)
			}
			for name := range files {
				files[name] = good[name]
			}
			mended := l.commit("mend "+bomb.name, files)
			l.await(mended, record.Succeeded)
		})
	}
	if err := l.process.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error(err)
	}
	if peak := l.peak(); peak > 900<<20 {
		t.Errorf("the daemon took %d MiB", peak>>20)
	}
	l.stop()
}

// TestBombAtStart starts the daemon on a bomb, and stops it.
func TestBombAtStart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	files := l.smallRepo()
	files[composeFile] = strings.Replace(smallCompose, "SERVICE_NAME: worker", `SERVICE_NAME: "`+strings.Repeat("${A:-", 2000)+`"`, 1)
	sha := l.commit("bomb", files)
	l.start()
	l.await(sha, record.Failed)
	l.stop()
}

// TestInflatingGitLab has a GitLab whose every answer is 4 MB of gzip that inflate to 4 GB. The
// commit is deployed, and the daemon takes little memory.
func TestInflatingGitLab(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(bytes.Repeat([]byte(" "), 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Repeat(packed.Bytes(), 256) // a gzip file may consist of several
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(bomb) // the agent stops reading
	}))
	t.Cleanup(server.Close)
	l.settings["gitlab_url"] = server.URL
	sha := l.repo.Commit("first", l.smallRepo())
	l.start()
	l.await(sha, record.Succeeded)
	waitfor.NoError(t, patience, func() error { // reports are delivered beside the rollout
		if log := l.logText(); !strings.Contains(log, "limits.answer_bytes allows 16MiB") {
			return fmt.Errorf("the log does not tell of the limit: %s", log)
		}
		return nil
	})
	if peak := l.peak(); peak > 500<<20 {
		t.Errorf("the daemon took %d MiB", peak>>20)
	}
	l.stop()
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak gives the most memory that the daemon has had.
func (l *lab) peak() int {
	l.t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(l.process.Process.Pid), "status"))
	if err != nil {
		l.t.Fatal(err)
	}
	kilobytes, err := strconv.Atoi(peakLine.FindStringSubmatch(string(status))[1])
	if err != nil {
		l.t.Fatal(err)
	}
	return kilobytes << 10
}
