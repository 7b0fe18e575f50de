package main

import (
	"fmt"
	"os"
	"path/filepath"

	"coin.internal/coin-agent/importer"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// importScreen shows what an import found and wrote.
func importScreen(s *page, result *importer.Result) {
	s.put(printable(result.Environment), "/", printable(result.Node), ": stack ", printable(result.Stack), ", ",
		plural.Count(result.Services, "service"), ", ", plural.Count(result.Secrets, "secret"))
	states := map[string]int{}
	for _, file := range result.Files {
		states[file.State]++
		what := ""
		if file.Encrypted {
			what = "  encrypted"
		}
		s.line(fmt.Sprintf("  %-10s", file.State), printable(file.Path), what)
	}
	if result.Config != "" {
		s.line("  new       the node's entry in ", printable(result.Config))
	}
	for _, warning := range result.Warnings {
		s.note(s.yellow("warning"), warning)
	}
	for _, one := range result.Plaintext {
		s.note(s.red("plaintext"), one)
	}
	for _, change := range result.Changes {
		s.line(s.red("change"), ": ", printable(change))
	}
	if len(result.Left) > 0 {
		s.line("not imported, and left in the directory:")
		for _, name := range result.Left {
			s.line("  ", printable(name))
		}
	}
	s.importEnd(result)
}

// note adds one finding.
func (s *page) note(kind markup, note importer.Note) {
	s.line(kind, ": ")
	if note.Place != "" {
		s.put(printable(note.Place), ": ")
	}
	s.put(printable(note.Message))
	if note.Hint != "" {
		s.line("  hint: ", printable(note.Hint))
	}
}

// importEnd says whether the import is finished, and the next step.
func (s *page) importEnd(result *importer.Result) {
	switch {
	case result.Refused != "":
		s.line(s.red("nothing was written"), ": ", result.Refused)
		switch {
		case result.Leaks:
			s.line("  hint: take the values of the secrets out of these files, or give the secrets other values first; --plaintext does not write them")
		case len(result.Plaintext) > 0:
			s.line("  hint: move them to secrets, or write `not-a-secret` in a comment on the line before; --plaintext writes them as they are")
		default:
			s.line("  hint: correct the directory or the repository; --changes accepts the difference")
		}
	case !result.Finished:
		s.line("dry run: nothing was written")
	case !result.Written:
		s.line(s.green("unchanged"), ": the repository has all of it")
	default:
		s.line(s.green("imported"), "; now: agent check, agent diff, git add and commit")
	}
}

// absoluteFolder gives the absolute path of a folder that exists.
func absoluteFolder(name string) (string, error) {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", name, err)
	}
	if info, err := os.Stat(absolute); err != nil || !info.IsDir() {
		return "", fault.New(fault.Place{File: name}, "name a working copy of the repository with --repo", "the folder does not exist")
	}
	return absolute, nil
}
