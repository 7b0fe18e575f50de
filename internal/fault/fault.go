// Package fault carries errors that a person can act on: what is wrong, where
// it stands, and what to do about it. Every stage reports bad input with it, so
// that the command line, `agent status` and the commit status say the same.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Place is a position in a file of the followed repository. Line and Column
// count from 1; 0 means unknown.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String gives file:line:column as far as they are known.
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

// Error is one fault. Message never holds a secret value. Err, where set, is
// the cause; Message stands alone without it.
type Error struct {
	Place   Place
	Message string
	Hint    string
	Err     error
}

// New gives a fault at a place; hint is the remedy and may be empty.
func New(place Place, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Place: place, Message: err.Error(), Hint: hint, Err: errors.Unwrap(err)}
}

// WithHint adds a remedy to err; nil stays nil.
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

// Hint gives the first remedy in err's tree, or "".
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

// All lists the single errors that err joins (errors.Join), in order, each text
// once; an error that joins nothing is listed itself, and nil gives none.
func All(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	seen := map[string]bool{}
	for _, inner := range joined.Unwrap() {
		for _, one := range All(inner) {
			if !seen[one.Error()] {
				seen[one.Error()] = true
				all = append(all, one)
			}
		}
	}
	return all
}
