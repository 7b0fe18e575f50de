package provenance_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coin.internal/coin-agent/internal/sopstest"
	"coin.internal/coin-agent/provenance"
	"coin.internal/coin-agent/sync/gittest"
)

// BenchmarkTrace reads 2,000 commits of two nodes with 30 secrets each: each commit
// is a release, and every hundredth a rotation.
func BenchmarkTrace(b *testing.B) {
	const commits = 2000
	repo := gittest.New(b)
	importHistory(b, repo, commits)
	for b.Loop() {
		report, err := provenance.Trace(b.Context(), provenance.Request{Dir: repo.Dir, Environment: "sandbox", Now: date(6, 1)})
		if err != nil {
			b.Fatal(err)
		}
		if report.Commits != commits || len(report.Secrets) != 60 || len(report.Secrets[0].Entries) != commits/100 {
			b.Fatalf("got %d commits, %d secrets, %d entries", report.Commits, len(report.Secrets), len(report.Secrets[0].Entries))
		}
	}
}

func importHistory(b *testing.B, repo *gittest.Repo, commits int) {
	b.Helper()
	key := sopstest.NewKey(b)
	var stream, compose strings.Builder
	compose.WriteString("services:\n  web: {image: web:1}\nsecrets:\n")
	for i := range 30 {
		fmt.Fprintf(&compose, "  s%02d: {file: ./secrets/s%02d, name: s%02d.$SV_s%02d}\n", i, i, i, i)
	}
	put := func(name, content string) {
		fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
	}
	for n := range commits {
		message := fmt.Sprintf("Release %d", n)
		fmt.Fprintf(&stream, "commit refs/heads/master\ncommitter Ada <ada@coin.example> %d +0000\ndata %d\n%s\n", 1735689600+n*3600, len(message), message)
		values, versions := map[string]string{}, ""
		for i := range 30 {
			values[fmt.Sprintf("s%02d", i)] = fmt.Sprintf("value-%d-%d", i, n)
			versions += fmt.Sprintf("SV_s%02d=%d\n", i, n/100)
		}
		for _, node := range []string{"node3", "node4"} {
			if n == 0 {
				put(nodes+node+"/docker-compose.yml", compose.String())
			}
			if n%100 == 0 {
				put(nodes+node+"/secrets.enc", sopstest.YAML(b, key, values))
				put(nodes+node+"/secrets.override.env", versions)
			}
			put(nodes+node+"/node.env", fmt.Sprintf("TAG=%d\n", n))
		}
		if n == 0 {
			put("environments/sandbox/config.yml", config+"  - {name: node4, context: c4, stack: app4}\n")
		}
	}
	command := exec.Command("git", "fast-import", "--quiet")
	command.Dir, command.Stdin = filepath.Join(repo.Dir), strings.NewReader(stream.String())
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	repo.Git("reset", "--quiet", "--hard")
}
