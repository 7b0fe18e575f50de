package cosign

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"oras.land/oras-go/v2/registry/remote/errcode"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/noanswer"
)

// ErrUnreachable is the cause of errors if a registry does not answer, so that requests for
// other images would fail as well.
var ErrUnreachable = errors.New("the registry does not answer")

const notFound = http.StatusNotFound

// status gives the HTTP status of a registry's refusal; 0 for another error.
func status(err error) int {
	if answer, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return answer.StatusCode
	}
	return 0
}

// explain gives the error of a registry that could not be asked for signatures.
func (c *client) explain(ctx context.Context, err error) error {
	if already, ok := errors.AsType[*fault.Error](err); ok {
		return already
	}
	const retried = "; the agent asks again"
	switch code := status(err); {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return fault.New(fault.Place{}, "write a login that may read the repository into the file that registry_config_file names"+retried,
			"the registry %s refuses to show signatures %s (HTTP %d)", c.host, c.as(), code)
	case code != 0:
		return fault.New(fault.Place{}, "check the state of the registry"+retried, "the registry %s answers with HTTP %d", c.host, code)
	case errors.Is(err, errElsewhere), errors.Is(err, errPlain), errors.Is(err, errInside):
		return fault.New(fault.Place{}, "name the image by the address that the registry itself has", "the registry %s is not asked for signatures: %s", c.host, c.said(err))
	case noanswer.Untrusted(err):
		return &fault.Error{
			Message: "the registry " + c.host + " is not trusted: " + c.said(err),
			Hint:    "write its certificate authority to " + certificates + "/" + c.host + "/ca.crt, or set ca_file", Err: ErrUnreachable,
		}
	case ctx.Err() != nil || noanswer.Late(err):
		return &fault.Error{
			Message: "the registry " + c.host + " does not answer within " + timeLimit.String(),
			Hint:    "make sure that this node can reach it" + retried, Err: ErrUnreachable,
		}
	}
	return &fault.Error{
		Message: "the registry " + c.host + " does not answer: " + c.said(err),
		Hint:    "make sure that this node can reach it" + retried, Err: ErrUnreachable,
	}
}

// as says with which login the registry is asked.
func (c *client) as() string {
	if c.password == nil {
		return "without a login"
	}
	return "with the login of this node"
}

// said gives the text of an error, without the request and without the login.
func (c *client) said(err error) string {
	text := noanswer.Cause(err).Error()
	if len(c.password) > 0 && bytes.Contains([]byte(text), c.password) {
		return "[an answer that quotes the login]"
	}
	return shown(text)
}
