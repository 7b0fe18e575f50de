// Package jsonschema judges documents by a JSON schema, in the part of draft 2020-12 that the schema of
// the Compose specification uses. It takes a schema and a document of plain JSON values, and gives
// the errors that github.com/santhosh-tekuri/jsonschema/v6 gives, sorted by key.
package jsonschema

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// UnmarshalJSON reads a JSON document.
func UnmarshalJSON(r io.Reader) (any, error) {
	decoder := json.NewDecoder(r)
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("invalid character after top-level value")
	}
	return document, nil
}

// Format judges values by the name of their format.
type Format struct {
	Name     string
	Validate func(v any) error
}

// ErrorKind says what is wrong with a value. Its types are in package kind.
type ErrorKind interface {
	KeywordPath() []string
	LocalizedString(p *message.Printer) string
}

// ValidationError is something that a document does wrong, with its causes.
type ValidationError struct {
	InstanceLocation []string // the place in the document
	ErrorKind        ErrorKind
	Causes           []*ValidationError
}

// Error gives the message of the error and of its causes.
func (e *ValidationError) Error() string {
	said := []string{"at '/" + strings.Join(e.InstanceLocation, "/") + "': " + e.ErrorKind.LocalizedString(message.NewPrinter(language.English))}
	for _, cause := range e.Causes {
		said = append(said, cause.Error())
	}
	return strings.Join(said, "\n")
}

// Validate judges a document. An error is a *ValidationError.
func (s *Schema) Validate(document any) error {
	_, err := judge(s, document, asked{at: make([]string, 0, 16)})
	if err == nil {
		return nil
	}
	causes := []*ValidationError{err}
	if _, group := err.ErrorKind.(*kind.Group); group {
		causes = err.Causes
	}
	return &ValidationError{ErrorKind: &kind.Schema{}, Causes: causes}
}
