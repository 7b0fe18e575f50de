package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"coin.internal/coin-agent/agent/settings"
)

// manVariable has the folder for the man pages. scripts/dist sets it: then they are written
// instead of any test. What makes them is in the tests, so that the binary has none of it.
const manVariable = "COIN_TEST_MAN_PAGES"

// manPages gives the page of each command by its file's name.
func manPages() (map[string]string, error) {
	root := (&app{settings: settings.Default()}).root()
	root.DisableAutoGenTag = true
	pages := map[string]string{}
	var add func(cmd *cobra.Command) error
	add = func(cmd *cobra.Command) error {
		if cmd.Hidden || cmd.Name() == "help" {
			return nil
		}
		showSettings(cmd)
		var text bytes.Buffer
		date := time.Unix(0, 0).UTC() // the page is as old as the package, which says its version
		header := &doc.GenManHeader{Section: "1", Source: "coin-agent", Manual: "coin-agent", Date: &date}
		if err := doc.GenMan(cmd, header, &text); err != nil {
			return err
		}
		pages[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"] = strings.Replace(text.String(), `"Jan 1970"`, `""`, 1)
		for _, one := range cmd.Commands() {
			if err := add(one); err != nil {
				return err
			}
		}
		return nil
	}
	return pages, add(root)
}

func writeManPages(dir string) error {
	pages, err := manPages()
	if err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // a page is for everybody to read
			return err
		}
	}
	return nil
}

// TestManPages demands a page of each command, with the settings that the command uses.
func TestManPages(t *testing.T) {
	pages, err := manPages()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ has, lacks []string }{
		"agent.1":             {[]string{".TH", "in sync with git", `\fBagent-status(1)\fP`}, []string{"spf13", "1970"}},
		"agent-run.1":         {[]string{`\fB--git-token-file\fP`, `\fB--api-listen\fP`}, nil},
		"agent-status.1":      {[]string{`\fB--socket\fP`, `\fBagent(1)\fP`}, []string{"git-token-file"}},
		"agent-secrets-gc.1":  {[]string{`\fBagent-secrets(1)\fP`}, nil},
		"agent-report-dora.1": {[]string{`\fB--since\fP`}, nil},
	} {
		for _, want := range c.has {
			if !strings.Contains(pages[name], want) {
				t.Errorf("%s does not have %s:\n%s", name, want, pages[name])
			}
		}
		for _, other := range c.lacks {
			if strings.Contains(pages[name], other) {
				t.Errorf("%s has %s", name, other)
			}
		}
	}
}
