package sync

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/skeema/knownhosts"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/noanswer"
	"coin.internal/coin-agent/internal/oneline"
)

// The kinds of failures of a remote, for errors.Is. Neither a retry nor another token
// helps against other errors.
var (
	// ErrAuth means that the remote refuses the credentials, or that its host key is not trusted.
	ErrAuth = fault.WithCode(errors.New("not authorised"), fault.CodeGit)
	// ErrUnreachable means that the remote did not answer, or not completely. A retry may help.
	ErrUnreachable = fault.WithCode(errors.New("remote unreachable"), fault.CodeGit)
	// ErrNotFound means that the remote does not have the repository, ref or commit.
	ErrNotFound = fault.WithCode(errors.New("not found at the remote"), fault.CodeGit)
)

// errNoRef means that the remote does not have the branch or tag that is followed.
var errNoRef = fault.WithCode(ErrNotFound, fault.CodeBranch)

// errNotOffered means that the remote does not offer an object.
var errNotOffered = fmt.Errorf("%w: not offered", ErrNotFound)

// statusError is an HTTP answer other than 200.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("HTTP status %d %s", int(e), http.StatusText(int(e)))
}

// heldError is an exchange that was not begun, because the remote has asked to wait that long.
type heldError time.Duration

func (e heldError) Error() string {
	return fmt.Sprintf("not asked: the remote asks for no request for another %s", max(time.Duration(e), time.Second).Round(time.Second))
}

// saidError is an error text of the remote.
type saidError string

func (e saidError) Error() string { return string(e) }

const (
	checkNetwork = "check that the remote is up, and that the network does not block it"
	checkURL     = "check the URL with git ls-remote"
)

// verdict is the kind, text and hint of a failure.
type verdict struct {
	kind       error // one of the sentinels, or nil
	says, hint string
}

// explain returns the error for a failed exchange. It does not wrap the cause, which may
// contain credentials that a server echoes.
func (w *wire) explain(ctx context.Context, doing string, err error) error {
	if own, ok := errors.AsType[*fault.Error](err); ok {
		return fmt.Errorf("%s %s: %w", doing, w.name, own)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s %s: %w", doing, w.name, context.Canceled)
	}
	v := w.judge(ctx, err)
	cause := v.kind
	if late := ctx.Err(); late != nil {
		cause = fmt.Errorf("%w: %w", ErrUnreachable, late)
	}
	return &fault.Error{Message: fmt.Sprintf("%s %s: %s", doing, w.name, w.scrub(v.says)), Hint: v.hint, Err: cause}
}

func (w *wire) judge(ctx context.Context, err error) verdict {
	var status statusError
	var said saidError
	var line *pktline.ErrorLine
	var held heldError
	switch {
	case ctx.Err() != nil:
		return verdict{ErrUnreachable, "no complete answer in time", checkNetwork}
	case errors.As(err, &status):
		return w.judgeStatus(status)
	case errors.As(err, &held):
		return verdict{ErrUnreachable, held.Error(), "wait; if it happens often, set a longer interval on the nodes, or a higher limit in the remote"}
	case errors.As(err, &said):
		return w.judgeWords(string(said))
	case errors.As(err, &line):
		return w.judgeWords(line.Text)
	case knownhosts.IsHostUnknown(err):
		return verdict{
			ErrAuth, "the host's key is not in " + w.remote.KnownHostsFile,
			"get the key with ssh-keyscan, verify it with the owner of the host, and add it to this file",
		}
	case knownhosts.IsHostKeyChanged(err):
		return verdict{
			ErrAuth, "the host's key differs from the one in " + w.remote.KnownHostsFile,
			"ask the owner of the host whether its key changed, and only then replace it in this file",
		}
	case strings.Contains(err.Error(), "unable to authenticate"):
		return verdict{
			ErrAuth, "the host refuses the key " + w.remote.KeyFile,
			"add its public key as a deploy key of the repository, with read access",
		}
	default:
		return judgeTransport(err)
	}
}

func (w *wire) judgeStatus(status statusError) verdict {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		hint := "set a token file, because the repository is not public"
		if w.remote.TokenFile != "" {
			hint = "write a valid token with read access to the repository (read_repository) into " + w.remote.TokenFile
		}
		return verdict{ErrAuth, "the remote refuses the token, " + status.Error(), hint}
	case status == http.StatusNotFound || status == http.StatusGone:
		return verdict{
			ErrNotFound, "the repository does not exist, " + status.Error(),
			"check the URL, and whether the token's owner can read the repository",
		}
	case status == http.StatusTooManyRequests || status >= 500:
		return verdict{ErrUnreachable, "the remote is not available, " + status.Error(), "check the state of the remote; the agent tries again"}
	default:
		return verdict{nil, status.Error(), checkURL}
	}
}

func (w *wire) judgeWords(text string) verdict {
	lower := strings.ToLower(text)
	for _, gone := range []string{"not our ref", "not a valid object"} {
		if strings.Contains(lower, gone) {
			return verdict{errNotOffered, "the remote no longer offers the commit: " + oneLine(text), "wait for the next sync: the ref has moved"}
		}
	}
	for _, missing := range []string{"not found", "not exist", "no such", "could not be found", "not appear to be a git", "not exported"} {
		if strings.Contains(lower, missing) {
			return verdict{ErrNotFound, "the repository does not exist: " + oneLine(text), "check the URL, and whether the key or token can read the repository"}
		}
	}
	if strings.Contains(lower, "denied") || strings.Contains(lower, "not allowed") {
		return verdict{ErrAuth, oneLine(text), "check whether the key or token can read the repository"}
	}
	return verdict{nil, oneLine(text), ""}
}

func judgeTransport(err error) verdict {
	var netErr net.Error
	says := oneLine(err.Error())
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return verdict{ErrUnreachable, says, "set ca_file to the certificate of the remote's certificate authority"}
	case noanswer.Untrusted(err):
		return verdict{ErrUnreachable, says, "check the URL's host name and the remote's certificate"}
	case noanswer.Late(err):
		return verdict{ErrUnreachable, "the remote does not answer: " + says, checkNetwork}
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return verdict{ErrUnreachable, says, checkNetwork + "; check host and port of the URL"}
	default:
		return verdict{nil, says, checkURL}
	}
}

func oneLine(text string) string { return oneline.Cut(text, 200) }
