// Package progress reads what an engine says about a pull, a push or an import of an image: from
// its stream of messages it makes an error, or none. It reads the stream to its end.
package progress

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// Drain reads the messages to their end, and gives the error in them.
func Drain(answer io.Reader) error {
	for lines := json.NewDecoder(answer); ; {
		var line struct {
			Error string `json:"error"`
		}
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Error != "":
			return errors.New(strings.TrimSpace(line.Error))
		}
	}
}
