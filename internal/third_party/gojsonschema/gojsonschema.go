// Package gojsonschema judges documents by JSON schemas, in the part of draft 4 that docker's
// schemas of compose files use. It takes the text of a schema and a document of plain Go values,
// and gives the errors that github.com/xeipuuv/gojsonschema gives. The same document gives the
// same errors in the same order.
package gojsonschema

import (
	"strings"
	"sync"
)

// JSONLoader holds a schema or a document.
type JSONLoader struct {
	text  string
	value any
}

// NewStringLoader gives the loader of a schema.
func NewStringLoader(text string) JSONLoader { return JSONLoader{text: text} }

// NewGoLoader gives the loader of a document.
func NewGoLoader(value any) JSONLoader { return JSONLoader{value: value} }

// FormatChecker judges a text or a *big.Rat.
type FormatChecker interface {
	IsFormat(input any) bool
}

// Formats are the checkers of formats by their names. An unknown format allows everything.
type Formats map[string]FormatChecker

// Add adds a checker. It is called before the first Validate.
func (f Formats) Add(name string, checker FormatChecker) { f[name] = checker }

// FormatCheckers are the checkers that schemas use.
var FormatCheckers = Formats{}

// compiled holds each schema by its text.
var compiled sync.Map

// Validate judges a document by a schema.
func Validate(schemaLoader, document JSONLoader) (*Result, error) {
	found, ok := compiled.Load(schemaLoader.text)
	if !ok {
		s, err := compile(schemaLoader.text)
		if err != nil {
			return nil, err
		}
		found, _ = compiled.LoadOrStore(schemaLoader.text, s)
	}
	result := &Result{}
	if err := result.judge(found.(*schema), document.value, &place{name: root}); err != nil {
		return nil, err
	}
	return result, nil
}

// Result is what a document does wrong.
type Result struct {
	errors []ResultError
	score  int // how much of a document fits; the best of several schemas explains an error
}

// Valid reports whether the document fits the schema.
func (r *Result) Valid() bool { return len(r.errors) == 0 }

// Errors gives the errors.
func (r *Result) Errors() []ResultError { return r.errors }

// ErrorDetails are details of an error by their names.
type ErrorDetails map[string]any

// ResultError is one thing that a document does wrong.
type ResultError interface {
	Type() string // names the kind of error
	Description() string
	Details() ErrorDetails // the types that are expected
	Field() string         // the place in the document, such as services.web.image
}

type resultError struct {
	kind, description, expected string
	at                          *place
}

func (e *resultError) Type() string          { return e.kind }
func (e *resultError) Description() string   { return e.description }
func (e *resultError) Details() ErrorDetails { return ErrorDetails{"expected": e.expected} }
func (e *resultError) Field() string         { return e.at.field() }

const root = "(root)"

// place is a place in a document.
type place struct {
	name   string
	parent *place
}

func (p *place) field() string {
	if p.parent == nil {
		return p.name
	}
	names := []string{}
	for ; p.parent != nil; p = p.parent {
		names = append([]string{p.name}, names...)
	}
	return strings.Join(names, ".")
}
