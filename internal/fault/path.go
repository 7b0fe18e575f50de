package fault

import (
	"errors"
	"io/fs"
)

// WithoutPath gives the error in a *fs.PathError: its path is another one than the user wrote.
func WithoutPath(err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return of.Err
	}
	return err
}
