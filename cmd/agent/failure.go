package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coin.internal/coin-agent/internal/fault"
)

// failure is the error of a command with -o json: one line on standard error.
type failure struct {
	Code  fault.Code   `json:"code"`
	Error string       `json:"error"`
	Place *fault.Place `json:"place,omitempty"`
	Hint  string       `json:"hint,omitempty"`
	More  []failure    `json:"more,omitempty"` // the other errors, if there are several
}

// failureOf describes an error that joins no others. An error without a class has the code other.
func failureOf(err error, class fault.Code) failure {
	described := failure{Code: cmp.Or(fault.CodeOf(err), class, fault.CodeOther), Error: err.Error(), Hint: fault.Hint(err)}
	for wrong := (*fault.Error)(nil); errors.As(err, &wrong); err = wrong.Err {
		if wrong.Place != (fault.Place{}) {
			described.Place = &wrong.Place
			break
		}
	}
	return described
}

// inJSON reports whether the user asked a command for JSON. After a wrong flag, the others are not
// parsed: args has them.
func inJSON(cmd *cobra.Command, args []string) bool {
	flag := cmd.Flags().Lookup("output")
	if flag == nil || !slices.Contains(flag.Annotations[outputForms], "json") {
		return false
	}
	output := flag.Value.String()
	if !flag.Changed {
		rest := pflag.NewFlagSet("", pflag.ContinueOnError)
		rest.ParseErrorsAllowlist.UnknownFlags = true
		rest.StringVarP(&output, flag.Name, flag.Shorthand, output, "")
		_ = rest.Parse(args) // what is wrong is known
	}
	return output == "json"
}

// printFailure prints the errors of a command as one JSON object. The advice is added to the
// first hint.
func printFailure(w io.Writer, all []error, class fault.Code, advice string) {
	first := failureOf(all[0], class)
	first.Hint = joined("; ", first.Hint, advice)
	for _, one := range all[1:] {
		first.More = append(first.More, failureOf(one, class))
	}
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(first) // texts have no error
	_, _ = jsonWriter{w}.Write(line.Bytes())
}

// exit prints the error of a command and gives the exit code.
func (a *app) exit(cmd *cobra.Command, args []string, err error) int {
	failed := exitError
	if own := (codeError{}); errors.As(err, &own) {
		failed, err = own.code, own.err
	}
	different := errors.Is(err, errDifferent)
	if different { // what failed besides, such as the delivery of statuses, is an error
		err = errors.Join(slices.DeleteFunc(fault.All(err), func(one error) bool { return errors.Is(one, errDifferent) })...)
	}
	switch {
	case err == nil && different:
		return exitDifferent
	case err == nil:
		return exitDone
	}
	class := fault.CodeOf(err)
	if errors.As(err, new(usageError)) {
		failed, class = exitUsage, cmp.Or(class, fault.CodeUsage)
	}
	var advice []string
	if a.unreadable != "" {
		advice = append(advice, "this user may not read "+a.unreadable+"; if the command needs the settings, run it as root")
	}
	if failed == exitUsage && fault.Hint(err) == "" {
		advice = append(advice, helpHint(cmd))
	}
	all := fault.All(err)
	if wrong, ok := err.(usageError); ok { //nolint:errorlint // one inside of another error has words around it
		all = fault.All(wrong.err)
	}
	if inJSON(cmd, args) {
		printFailure(a.stderr, all, class, strings.Join(advice, "; "))
		return failed
	}
	for _, one := range all {
		printFault(a.stderr, "error", one)
	}
	for _, one := range advice {
		fmt.Fprintf(a.stderr, "agent: hint: %s\n", one)
	}
	switch {
	case failed == exitUsage:
		printUsageOf(a, cmd)
	case class != "":
		fmt.Fprintf(a.stderr, "agent: code: %s; `agent explain %s` describes it\n", class, class)
	}
	return failed
}
