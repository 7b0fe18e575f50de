package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"coin.internal/coin-agent/agent/setup"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// personAt gives who answers: the user of the terminal, or the flags alone.
func personAt(a *app, noInput bool) setup.Person {
	if _, err := unix.IoctlGetTermios(int(a.stdin.Fd()), unix.TCGETS); noInput || err != nil {
		return flagsOnly{}
	}
	return &answerer{in: a.stdin, lines: bufio.NewReader(a.stdin), out: a.stderr}
}

// flagsOnly answers with the defaults. What has none must be a flag.
type flagsOnly struct{}

func (flagsOnly) Ask(_ context.Context, q setup.Question) (string, error) {
	switch {
	case q.Optional:
		return "", nil
	case q.Default != "":
		return q.Default, nil
	}
	flag := "--" + strings.ReplaceAll(q.Setting, "_", "-")
	hint := "add " + flag
	if len(q.Choices) > 0 {
		hint += " with one of " + visible.Line(strings.Join(q.Choices, ", "))
	}
	return "", usageError{fault.New(fault.Place{}, hint, "the setting %s is missing: %s", q.Setting, q.Text)}
}

func (flagsOnly) Secret(context.Context, string) (string, error) { return "", nil }

func (flagsOnly) Again(error) bool { return false }

// answerer is a user at a terminal.
type answerer struct {
	in    *os.File
	lines *bufio.Reader
	out   io.Writer
}

// Ask asks until the answer is a possible one.
func (t *answerer) Ask(ctx context.Context, q setup.Question) (string, error) {
	prompt := visible.Line(q.Text)
	if len(q.Choices) > 0 {
		prompt += " (" + visible.Line(strings.Join(q.Choices, ", ")) + ")"
	}
	if q.Default != "" {
		prompt += " [" + visible.Line(q.Default) + "]"
	}
	for {
		answer, err := t.line(ctx, prompt+": ")
		if err != nil {
			return "", err
		}
		if answer == "" {
			answer = q.Default
		}
		switch {
		case answer == "" && !q.Optional:
			fmt.Fprintln(t.out, "an answer is needed")
		case len(q.Choices) > 0 && !slices.Contains(q.Choices, answer):
			fmt.Fprintln(t.out, "choose one of them")
		default:
			return answer, nil
		}
	}
}

// line reads a line, unless the user interrupts the command.
func (t *answerer) line(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	line, err := apart.Do(ctx, func() (string, error) { return t.lines.ReadString('\n') }, nil)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		fmt.Fprintln(t.out)
		return "", fault.New(fault.Place{}, "run `agent init` again: it continues with the answers so far", "the setup was ended before its end")
	}
	return strings.TrimSpace(line), err
}

// Secret reads a line that the terminal does not show.
func (t *answerer) Secret(ctx context.Context, text string) (string, error) {
	number := int(t.in.Fd())
	before, err := unix.IoctlGetTermios(number, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("read without showing: %w", err)
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(number, unix.TCSETSF, &hidden); err != nil {
		return "", fmt.Errorf("read without showing: %w", err)
	}
	answer, err := t.line(ctx, visible.Line(text)+" (not shown): ")
	fmt.Fprintln(t.out)
	return answer, errors.Join(err, unix.IoctlSetTermios(number, unix.TCSETSF, before))
}

// Again shows what failed, before the user is asked again.
func (t *answerer) Again(failed error) bool {
	for _, one := range fault.All(failed) {
		printFault(t.out, "error", one)
	}
	return true
}
