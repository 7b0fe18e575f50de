package sync

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/skeema/knownhosts"

	"coin.internal/coin-agent/internal/fault"
)

// The kinds of failure of a remote, for errors.Is. An error of none of them is
// one that neither waiting nor another token helps against.
var (
	// ErrAuth means that the remote does not take our credentials, or that we do not take its host key.
	ErrAuth = errors.New("not authorised")
	// ErrUnreachable means that the remote did not answer, or only in part; it may later.
	ErrUnreachable = errors.New("remote unreachable")
	// ErrNotFound means that the remote does not have the repository, ref or commit.
	ErrNotFound = errors.New("not found at the remote")
)

// errNotOffered is an object that the remote has for others, or had.
var errNotOffered = fmt.Errorf("%w: not offered", ErrNotFound)

// statusError is an HTTP answer other than 200.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("HTTP status %d %s", int(e), http.StatusText(int(e)))
}

// saidError is what the remote says in words.
type saidError string

func (e saidError) Error() string { return string(e) }

// verdict is what a failure means and what to do.
type verdict struct {
	kind       error // one of the sentinels, or nil
	says, hint string
}

// explain makes the error that people see of a failed exchange. The cause is
// not kept: it could hold what a server chose to echo.
func (w *wire) explain(ctx context.Context, doing string, err error) error {
	var own *fault.Error
	if errors.As(err, &own) {
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
	switch {
	case ctx.Err() != nil:
		return verdict{ErrUnreachable, "no complete answer in time", "is the remote up and the way to it open?"}
	case errors.As(err, &status):
		return w.judgeStatus(status)
	case errors.As(err, &said):
		return w.judgeWords(string(said))
	case errors.As(err, &line):
		return w.judgeWords(line.Text)
	case knownhosts.IsHostUnknown(err):
		return verdict{
			ErrAuth, "the host's key is not in " + w.remote.KnownHostsFile,
			"get the key with ssh-keyscan, compare it with what the host's owner says, and add it there",
		}
	case knownhosts.IsHostKeyChanged(err):
		return verdict{
			ErrAuth, "the host's key is not the one in " + w.remote.KnownHostsFile,
			"ask the host's owner whether its key changed; only then replace it there",
		}
	case strings.Contains(err.Error(), "unable to authenticate"):
		return verdict{
			ErrAuth, "the host does not take the key " + w.remote.KeyFile,
			"add its public half as a deploy key of the repository, with read access",
		}
	default:
		return judgeTransport(err)
	}
}

func (w *wire) judgeStatus(status statusError) verdict {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		hint := "set a token file: the repository is not public"
		if w.remote.TokenFile != "" {
			hint = "put a token that is valid and may read the repository (read_repository) in " + w.remote.TokenFile
		}
		return verdict{ErrAuth, "the remote refuses the token, " + status.Error(), hint}
	case status == http.StatusNotFound || status == http.StatusGone:
		return verdict{
			ErrNotFound, "no such repository, " + status.Error(),
			"check the URL, and that the token's owner may see the repository",
		}
	case status == http.StatusTooManyRequests || status >= 500:
		return verdict{ErrUnreachable, "the remote cannot answer now, " + status.Error(), "it is tried again; see the remote's own state"}
	default:
		return verdict{nil, status.Error(), "check that the URL is the one that git clone takes"}
	}
}

func (w *wire) judgeWords(text string) verdict {
	lower := strings.ToLower(text)
	for _, gone := range []string{"not our ref", "not a valid object"} {
		if strings.Contains(lower, gone) {
			return verdict{errNotOffered, "the remote no longer offers the commit: " + oneLine(text), "its ref has moved on; select again"}
		}
	}
	for _, missing := range []string{"not found", "not exist", "no such", "could not be found", "not appear to be a git", "not exported"} {
		if strings.Contains(lower, missing) {
			return verdict{ErrNotFound, "no such repository: " + oneLine(text), "check the URL, and that the key or token may read the repository"}
		}
	}
	if strings.Contains(lower, "denied") || strings.Contains(lower, "not allowed") {
		return verdict{ErrAuth, oneLine(text), "check that the key or token may read the repository"}
	}
	return verdict{nil, oneLine(text), ""}
}

func judgeTransport(err error) verdict {
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var netErr net.Error
	says := oneLine(err.Error())
	switch {
	case errors.As(err, &unknown):
		return verdict{ErrUnreachable, says, "name the file with the authority's certificate as CA file"}
	case errors.As(err, &verify):
		return verdict{ErrUnreachable, says, "check the URL's host name and the remote's certificate"}
	case errors.As(err, &netErr) && netErr.Timeout():
		return verdict{ErrUnreachable, "the remote is silent: " + says, "is the remote up and the way to it open?"}
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return verdict{ErrUnreachable, says, "is the remote up and the way to it open? check host and port of the URL"}
	default:
		return verdict{nil, says, "check that the URL is the one that git clone takes"}
	}
}

// oneLine keeps what a remote says within a status line.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}
