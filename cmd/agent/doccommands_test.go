package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// shellWord matches a word of a command line, with what is quoted in it.
var shellWord = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)

// documentedCommands gives the command lines of the agent in a document: indented ones, and those in
// backticks.
func documentedCommands(text string) (lines []string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, match := range regexp.MustCompile(`(?m)^ {4,}(?:\$ )?(?:sudo )?(agent .*)$`).FindAllStringSubmatch(text, -1) {
		lines = append(lines, match[1])
	}
	for _, match := range regexp.MustCompile("`(agent [a-z-][^`]*)`").FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.ReplaceAll(match[1], "\n", " "))
	}
	return lines
}

// wrongCommand says why no user can type a documented command line; "" if one can.
func wrongCommand(root *cobra.Command, line string) string {
	words := shellWord.FindAllString(line, -1)[1:]
	if end := slices.IndexFunc(words, func(word string) bool { return strings.ContainsAny(word[:1], "#|>&;") }); end >= 0 {
		words = words[:end]
	}
	command, _, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	if command.HasSubCommands() && len(words) > 0 {
		if last := words[len(words)-1]; last != command.Name() && !strings.HasPrefix(last, "-") {
			return "there is no command " + last
		}
	}
	command.InitDefaultHelpFlag()
	if command == root {
		command.InitDefaultVersionFlag()
	}
	for _, word := range words {
		name, _, _ := strings.Cut(strings.TrimRight(word, ",.:;…"), "=")
		var flag *pflag.Flag
		switch {
		case strings.HasPrefix(name, "--"):
			flag = command.Flag(strings.TrimPrefix(name, "--"))
		case len(name) == 2 && name[0] == '-':
			if flag = command.Flags().ShorthandLookup(name[1:]); flag == nil {
				flag = command.InheritedFlags().ShorthandLookup(name[1:])
			}
		default:
			continue
		}
		if flag == nil {
			return "it has no flag " + name
		}
	}
	return ""
}

// TestDocumentedCommands checks that the commands and flags which the documents name exist.
func TestDocumentedCommands(t *testing.T) {
	root := newApp(nil, nil).root()
	found := 0
	for page, text := range documents(t) {
		for _, line := range documentedCommands(text) {
			found++
			if why := wrongCommand(root, line); why != "" {
				t.Errorf("%s: %q: %s", page, line, why)
			}
		}
	}
	if found < 500 {
		t.Errorf("only %d command lines were found", found)
	}
	for _, wrong := range []string{"agent frobnicate", "agent stack depoly -w x", "agent status --frob", "agent history -x 3", "agent secrets gcc"} {
		if wrongCommand(root, wrong) == "" {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
