package notify

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode"

	"coin.internal/coin-agent/internal/fault"
)

// Kind is a kind of receiver.
type Kind string

// The kinds of receiver.
const (
	KindSlack Kind = "slack"
	KindEmail Kind = "email"
)

// Receiver is who gets messages: a channel, or an e-mail address.
type Receiver struct {
	Kind    Kind   `json:"kind"`
	Address string `json:"address"`
}

func (r Receiver) String() string { return string(r.Kind) + " " + r.Address }

func compareReceivers(a, b Receiver) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Address, b.Address))
}

// Sender brings a message to a receiver of its kind, once. Its errors hold no
// secret.
type Sender interface {
	Send(ctx context.Context, to Receiver, m Message) error
}

// refusal is an error that says what it asks of the outbox.
type refusal struct {
	error
	permanent bool          // this message will be refused however often it is sent
	after     time.Duration // what the receiver asked to wait; 0 when it did not say
}

func (r *refusal) Unwrap() error { return r.error }

func permanent(err error) error { return &refusal{error: err, permanent: true} }

// maxSecretFile bounds what is read from a file that is named by mistake.
const maxSecretFile = 4096

// readSecret reads a file that holds one line of printable text and that only
// its owner may read. what names it, in words for people.
func readSecret(path, what string) (string, error) {
	place := fault.Place{File: path}
	file, err := os.Open(path)
	if err != nil {
		return "", fault.New(place, "write it with mode 600, or name the right file", "read the file with %s: %w", what, plain(err))
	}
	defer file.Close() //nolint:errcheck // only read from
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", fault.New(place, "", "read the file with %s: %w", what, plain(err))
	case !info.Mode().IsRegular():
		return "", fault.New(place, "name a file that holds only "+what, "the file with %s is not a regular file", what)
	case info.Mode().Perm()&0o077 != 0:
		return "", fault.New(place, "chmod 600 "+path, "others than its owner may use the file with %s (mode %04o)", what, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return "", fault.New(place, "", "read the file with %s: %w", what, plain(err))
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" || len(text) > maxSecretFile || strings.ContainsFunc(text, unicode.IsControl) {
		return "", fault.New(place, "write "+what+" into it, alone and on one line", "the file does not hold %s", what)
	}
	return text, nil
}

// plain takes the file name out of a file error; the place has it already.
func plain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
