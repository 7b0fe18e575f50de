// Package bounded reads what another machine sends: it takes a stream and the number of bytes
// that it may have, and gives the bytes, or an error once there are more. It never holds more
// than it may.
package bounded

import (
	"errors"
	"io"
	"net"
	"sync/atomic"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// ErrTooLong is the error of ReadAll.
var ErrTooLong = errors.New("more bytes than allowed")

// ReadAll reads a stream to its end. Beside an error it gives nothing.
func ReadAll(from io.Reader, most limits.Bytes) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(from, int64(most)+1))
	if err != nil {
		clear(content)
		return nil, err
	}
	if limits.Bytes(len(content)) > most {
		clear(content)
		return nil, ErrTooLong
	}
	return content, nil
}

// Buffer keeps what is written to it, and refuses more than it may keep.
type Buffer struct {
	Most int
	kept []byte
}

// Write keeps the bytes that fit, and gives ErrTooLong if some do not.
func (b *Buffer) Write(p []byte) (int, error) {
	n := min(len(p), b.Most-len(b.kept))
	b.kept = append(b.kept, p[:n]...)
	if n < len(p) {
		return n, ErrTooLong
	}
	return n, nil
}

// Bytes gives what was kept.
func (b *Buffer) Bytes() []byte { return b.kept }

// A Budget is how many bytes the answers to one question may have together.
type Budget struct {
	left   atomic.Int64
	exceed error
}

// NewBudget gives a budget. A read over it gives the error, and no bytes.
func NewBudget(most limits.Bytes, exceed error) *Budget {
	b := &Budget{exceed: exceed}
	b.left.Store(int64(most))
	return b
}

// Answers gives the budget for the answers of a server.
func Answers(server string, most limits.Bytes) *Budget {
	return NewBudget(most, limits.Over(fault.Place{}, "answer_bytes", "the answer of "+server+" has", most))
}

// Body gives the body of an answer, within the budget.
func (b *Budget) Body(of io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{b.Reader(of), of}
}

// Reader does the same for a stream.
func (b *Budget) Reader(of io.Reader) io.Reader { return reader{of, b} }

// Conn does the same for what is read from a connection.
func (b *Budget) Conn(of net.Conn) net.Conn { return conn{of, reader{of, b}} }

type reader struct {
	from   io.Reader
	budget *Budget
}

func (r reader) Read(p []byte) (int, error) {
	if r.budget.left.Load() < 0 {
		return 0, r.budget.exceed
	}
	n, err := r.from.Read(p)
	if r.budget.left.Add(-int64(n)) < 0 {
		return 0, r.budget.exceed
	}
	return n, err
}

type conn struct {
	net.Conn
	reader reader
}

func (c conn) Read(p []byte) (int, error) { return c.reader.Read(p) }
