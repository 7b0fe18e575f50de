package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/terminal"
)

// widestText is how many columns the paragraphs of a help have at most.
const widestText = 100

// printHelp prints what a command does and how it is used, as wide as the terminal is.
func printHelp(cmd *cobra.Command) {
	out := cmd.OutOrStdout()
	width, about := newPrinter(out).width, cmd.Long
	if about == "" {
		about = cmd.Short
	}
	_, _ = io.WriteString(out, filled(about, width)+"\n\n"+usageText(cmd, width)+"\n")
}

// usageText says how a command is used. Examples are not wrapped, so that a user can copy them.
func usageText(cmd *cobra.Command, width int) string {
	var text strings.Builder
	text.WriteString("Usage:")
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() {
		text.WriteString("\n" + wrapped("  "+cmd.UseLine(), width))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "\n  %s [command]", cmd.CommandPath())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&text, "\n\nExamples:\n%s", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		listCommands(&text, cmd, width)
	}
	if cmd.HasAvailableLocalFlags() {
		fmt.Fprintf(&text, "\n\nFlags:\n%s", flagsText(cmd.LocalFlags(), width))
	}
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprintf(&text, "\n\nSettings:\n%s", flagsText(cmd.InheritedFlags(), width))
	}
	if cmd.HasAvailableSubCommands() {
		text.WriteString("\n\n" + filled("Flags override "+settings.EnvPrefix+"* variables, which override the settings file; `agent run --help` lists all settings.", width))
		text.WriteString("\n" + filled("Exit codes: "+exitCodes, width))
		text.WriteString("\n\n" + filled(fmt.Sprintf("Use %q for more about a command.", cmd.CommandPath()+" [command] --help"), width))
	}
	return text.String()
}

// flagName matches a flag in the list of flags, with the gap before its description.
var flagName = lazyregexp.New(`^ +(?:-\w, )?--\S+(?: \S+)? {2,}`)

// flagsText lists flags. A word that is longer than a line, such as a URL, stays whole.
func flagsText(flags *pflag.FlagSet, width int) string {
	text := strings.TrimRight(flags.FlagUsages(), " \n")
	if width == 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		name := flagName().FindString(line)
		about := filled(line[len(name):], max(width-len(name), leastCell))
		lines[i] = name + strings.ReplaceAll(about, "\n", "\n"+strings.Repeat(" ", len(name)))
	}
	return strings.Join(lines, "\n")
}

// wrapped breaks a line that is too long for the terminal.
func wrapped(line string, width int) string {
	if width == 0 {
		return line
	}
	return strings.Join(terminal.Wrap(line, width), "\n")
}

// filled gives paragraphs as wide as the terminal is. Indented lines are not changed.
func filled(text string, width int) string {
	if width == 0 {
		return text
	}
	width = min(width, widestText)
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(paragraph, " ") || strings.Contains(paragraph, "\n ") {
			lines = append(lines, paragraph, "")
			continue
		}
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			switch {
			case line == "":
				line = word
			case terminal.Width(line+" "+word) > width:
				lines, line = append(lines, line), word
			default:
				line += " " + word
			}
		}
		lines = append(lines, line, "")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// flagFault says in plain words what is wrong with a flag.
func flagFault(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 { // the flags are those of the command that was meant
		return usageError{unknownCommand(cmd, cmd.Flags().Arg(0))}
	}
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return usageError{err}
	}
	flag := invalid.GetFlag()
	kinds := map[string]string{"bool": "is not true or false", "int": "is not a whole number", "uint": "is not a whole number", "duration": "is not a valid duration"}
	wrong := kinds[strings.TrimRight(flag.Value.Type(), "0123456789")]
	if wrong == "" {
		return usageError{err}
	}
	if errors.Is(err, strconv.ErrRange) {
		wrong = "is too large or too small"
	}
	return usageError{fault.New(fault.Place{}, cmp.Or(fault.Hint(err), helpHint(cmd)), "--%s: %q %s", flag.Name, invalid.GetValue(), wrong)}
}

// helpHint names the help of a command.
func helpHint(cmd *cobra.Command) string {
	switch {
	case cmd == nil || !cmd.HasParent() || cmd.Name() == "help":
		return "agent --help lists the commands and flags"
	case cmd.HasSubCommands():
		return cmd.CommandPath() + " --help lists its commands"
	}
	return cmd.CommandPath() + " --help lists its flags"
}
