package enginetest

import (
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// errStreamEnded is how a stream of events ends when the engine goes away.
var errStreamEnded = io.ErrUnexpectedEOF

// answer is an error as docker's client makes one of an engine's answer: its text
// begins likewise, and errdefs tells its kind by the status.
type answer struct {
	text string
	kind error
}

func (a *answer) Error() string { return "Error response from daemon: " + a.text }

func (a *answer) Unwrap() error { return a.kind }

var (
	errConflict  = errdefs.ErrConflict
	errForbidden = errdefs.ErrPermissionDenied
	errInternal  = errdefs.ErrInternal
	errNotFound  = errdefs.ErrNotFound
)

// Kinds of answers by the code that Swarm gives, with the status that the engine
// makes of it.
func invalid(format string, args ...any) error { // 400
	return refusal(errdefs.ErrInvalidArgument, "InvalidArgument", format, args...)
}

func precondition(format string, args ...any) error { // 400, too
	return refusal(errdefs.ErrInvalidArgument, "FailedPrecondition", format, args...)
}

func exists(format string, args ...any) error { // 409
	return refusal(errdefs.ErrConflict, "AlreadyExists", format, args...)
}

func unimplemented(format string, args ...any) error { // 501
	return refusal(errdefs.ErrNotImplemented, "Unimplemented", format, args...)
}

func outOfSequence() error { // 500
	return refusal(errdefs.ErrInternal, "Unknown", "update out of sequence")
}

func refusal(kind error, code, format string, args ...any) error {
	return &answer{text: "rpc error: code = " + code + " desc = " + fmt.Sprintf(format, args...), kind: kind}
}

// notFound is the engine's own answer, which names no code.
func notFound(kind, name string) error {
	return &answer{text: fmt.Sprintf("%s %s not found", kind, name), kind: errdefs.ErrNotFound}
}

// unreachable is what docker's client says when no engine listens at host.
func unreachable(host string) error {
	return client.ErrorConnectionFailed(host) //nolint:staticcheck // the only way to make the very type that deploy looks for
}

// ErrLost is an error for hooks: the connection breaks, so that it is not known whether
// the engine has done what it was asked.
var ErrLost error = lost{}

// lost is the error of docker's client for a connection that broke: deploy knows it by
// its type.
type lost struct{}

func (lost) Error() string { return "error during connect: EOF" }

func (lost) Unwrap() error {
	return client.ErrorConnectionFailed("") //nolint:staticcheck // see unreachable
}

// ErrUnavailable is an error for hooks: the engine answers that its managers do not
// agree in time.
var ErrUnavailable error = &answer{
	text: "rpc error: code = DeadlineExceeded desc = context deadline exceeded", kind: errdefs.ErrInternal,
}
