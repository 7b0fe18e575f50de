// Package fault provides errors with a place and a hint: what is wrong, where, and
// how to fix it. All stages use it for bad input, so that the command line,
// `agent status` and the commit status show the same text.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Place is a position in a file. Line and Column start at 1; 0 means unknown.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String returns the known parts of file:line:column.
func (p Place) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	return b.String()
}

// Error is one fault. Message never contains a secret value, and includes the text
// of the cause Err, if there is one.
type Error struct {
	Place   Place
	Message string
	Hint    string
	Err     error
}

// New returns a fault at a place. The hint says how to fix it, and may be empty.
func New(place Place, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Place: place, Message: err.Error(), Hint: hint, Err: errors.Unwrap(err)}
}

// WithHint adds a hint to err. For nil it returns nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &Error{Message: err.Error(), Hint: hint, Err: err}
}

func (e *Error) Error() string {
	if place := e.Place.String(); place != "" {
		return place + ": " + e.Message
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Hint returns the first hint in err's tree, or "".
func Hint(err error) string {
	var fault *Error
	for err != nil && errors.As(err, &fault) {
		if fault.Hint != "" {
			return fault.Hint
		}
		err = fault.Err
	}
	return ""
}

// All returns the single errors that err joins (errors.Join), in order and without
// duplicate texts. For an error that joins nothing it returns that error.
func All(err error) []error {
	var all []error
	seen := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, inner := range joined.Unwrap() {
				walk(inner)
			}
		} else if err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			all = append(all, err)
		}
	}
	walk(err)
	return all
}
