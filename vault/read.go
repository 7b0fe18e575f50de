package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/noanswer"
)

var errLong = errors.New("the answer has more than " + maxAnswer.String())

// failed makes an error that the server or the login causes: the agent tries again.
func failed(hint, format string, args ...any) error {
	return fault.Transient(fault.WithCode(fault.New(fault.Place{}, hint, format, args...), fault.CodeVault))
}

// refused makes an error that the reference or Vault's policy causes: only another commit, or
// a user, changes that.
func refused(hint, format string, args ...any) error {
	return fault.WithCode(fault.New(fault.Place{}, hint, format, args...), fault.CodeVault)
}

// send sends one request, and decodes its answer if that has status 200 or 404. The error is
// transient: there is no answer, or one that says that the server cannot answer now.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body map[string]string, into any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	request := c.api.NewRequest(method, "/v1/"+path)
	request.Params = query
	if body != nil {
		if err := request.SetJSONBody(body); err != nil {
			return 0, refused("", "write the request to Vault")
		}
	}
	response, err := c.api.RawRequestWithContext(ctx, request) //nolint:staticcheck // the only way to the bytes of an answer, which can be wiped
	clear(request.BodyBytes)
	if response != nil {
		defer response.Body.Close() //nolint:errcheck // only read from
	}
	status, err := c.statusOf(response, err)
	if err != nil {
		return 0, err
	}
	address := c.options.Address
	switch {
	case status >= 300 && status < 400:
		return 0, failed("set vault_address to the active server, or to a load balancer that finds it", "%s answers with a redirect (HTTP %d), which the agent does not follow", address, status)
	case status == http.StatusServiceUnavailable:
		return 0, failed("unseal it; `vault status` shows its state", "%s is sealed or not available (HTTP %d)", address, status)
	case status == http.StatusTooManyRequests, status == http.StatusPreconditionFailed, status >= 500:
		return 0, failed("check the state of Vault: vault status", "%s cannot answer now (HTTP %d)", address, status)
	case into == nil || status != http.StatusOK && status != http.StatusNotFound:
		return status, nil
	}
	text, err := bounded.ReadAll(response.Body, maxAnswer)
	defer clear(text)
	switch {
	case err != nil:
		return 0, c.away(err)
	case json.Unmarshal(text, into) != nil && status == http.StatusOK:
		return 0, failed("check that vault_address is a Vault or an OpenBao", "%s does not answer like Vault", address)
	}
	return status, nil
}

// away gives the error for a missing answer, without the request.
func (c *Client) away(err error) error {
	err = noanswer.Cause(err)
	address := c.options.Address
	const hint = "check that Vault runs and that this node can connect to it: vault status"
	_, isNetwork := errors.AsType[net.Error](err)
	switch {
	case noanswer.Untrusted(err):
		return failed("set ca_file to the certificate authority of Vault", "%s has a certificate that is not trusted: %s", address, err)
	case errors.Is(err, errLong):
		return refused("keep large files out of Vault; Swarm takes secrets of 500 KiB", "%s: %w", address, errLong)
	case noanswer.Late(err):
		return failed(hint, "%s does not answer within %s", address, answerTime)
	case isNetwork:
		return failed(hint, "%s does not answer: %s", address, err)
	}
	return failed(hint, "%s does not answer: the connection ended", address)
}

// version is the answer about a version of a secret. Data is null for a deleted one.
type version struct {
	Data struct {
		Data     map[string]json.RawMessage `json:"data"`
		Metadata *struct {
			Version   int    `json:"version"`
			Deleted   string `json:"deletion_time"`
			Destroyed bool   `json:"destroyed"`
		} `json:"metadata"`
	} `json:"data"`
}

func (v version) wipe() {
	for _, text := range v.Data.Data {
		clear(text)
	}
}

// Read gives a version of the secret at a path of the engine, 0 for the newest, by its keys.
// The value of a key that is not a text, a number or a boolean is nil.
func (c *Client) Read(ctx context.Context, path string, number int) (int, map[string][]byte, error) {
	if err := c.inEngine(path); err != nil {
		return 0, nil, err
	}
	if err := c.begin(ctx); err != nil {
		return 0, nil, err
	}
	query := url.Values{}
	if number > 0 {
		query.Set("version", strconv.Itoa(number))
	}
	var answer version
	defer func() { answer.wipe() }()
	status, err := c.ask(ctx, path, query, &answer)
	if err != nil {
		return 0, nil, err
	}
	if err := c.judge(status, path, number, answer); err != nil {
		return 0, nil, err
	}
	data := map[string][]byte{}
	for key, raw := range answer.Data.Data {
		data[key] = scalar(raw)
	}
	return answer.Data.Metadata.Version, data, nil
}

// ask reads with the present login, and if Vault forbids that, with a new one: a token ends after its
// uses or its time, or when it is revoked, and Vault's answer is the one to a missing permission. Once
// a new login was forbidden something, no other is tried.
func (c *Client) ask(ctx context.Context, path string, query url.Values, into *version) (int, error) {
	status, err := c.send(ctx, http.MethodGet, path, query, nil, into)
	if err != nil || status != http.StatusForbidden || !c.login.known || c.denied {
		return status, err
	}
	c.Close(ctx)
	if err := c.begin(ctx); err != nil {
		return 0, err
	}
	status, err = c.send(ctx, http.MethodGet, path, query, nil, into)
	c.denied = status == http.StatusForbidden && c.login.known
	return status, err
}

// inEngine refuses a path that is not in the engine of the settings.
func (c *Client) inEngine(path string) error {
	mount := c.options.Mount
	rest, inside := strings.CutPrefix(path, mount+"/data/")
	switch {
	case inside && pathForm().MatchString(path) && rest != "":
		return nil
	case strings.HasPrefix(path, mount+"/"):
		return refused("write "+mount+"/data/ and the path of the secret", "%s is not a path of data in the KV version 2 engine %s", path, mount)
	}
	return refused("write the value into the KV version 2 engine "+mount+", and refer to "+mount+"/data/...",
		"%s is not in the KV version 2 engine %s, the only one that the agent reads: "+
			"a dynamic secret, such as database/creds, is another login at each read and ends with its lease, but a secret in Swarm stays as it is", path, mount)
}

// judge says why an answer has no data.
func (c *Client) judge(status int, path string, number int, answer version) error {
	which, meta := "the newest version", answer.Data.Metadata
	if number > 0 {
		which = "version " + strconv.Itoa(number)
	}
	switch {
	case status == http.StatusForbidden && !c.login.known:
		return failed(loginHint, "%s accepts the token in vault_token_file neither for a look at itself nor for %s", c.options.Address, path)
	case status == http.StatusForbidden:
		return refused("add `path \""+path+"\" { capabilities = [\"read\"] }` to the policy of the agent's role in Vault, then `agent retry`", "Vault does not allow the agent to read %s (HTTP 403)", path)
	case meta != nil && meta.Destroyed:
		return refused("refer to another version, or write a new one: vault kv put", "%s of %s in Vault was destroyed", which, path)
	case meta != nil && meta.Deleted != "" && answer.Data.Data == nil:
		return refused("refer to another version, or restore it: vault kv undelete", "%s of %s in Vault was deleted", which, path)
	case status == http.StatusNotFound:
		return refused("compare the path and the version with: vault kv metadata get", "Vault has no %s at %s", strings.TrimPrefix(which, "the newest "), path)
	case status != http.StatusOK:
		return refused("check vault_mount and the path", "Vault refuses to read %s (HTTP %d)", path, status)
	case meta == nil || meta.Version == 0 || answer.Data.Data == nil:
		return refused("set vault_mount to a KV version 2 engine: vault secrets list -detailed", "the engine %s does not answer like KV version 2", c.options.Mount)
	case number > 0 && meta.Version != number:
		return refused("check the server at vault_address", "Vault gives version %d of %s instead of %d", meta.Version, path, number)
	}
	return nil
}

// scalar gives the bytes of a text, and numbers and booleans as they are written; nil for
// everything else.
func scalar(raw json.RawMessage) []byte {
	var text string
	switch {
	case len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || string(raw) == "null":
		return nil
	case raw[0] != '"':
		return append([]byte{}, raw...)
	case json.Unmarshal(raw, &text) != nil:
		return nil
	}
	return []byte(text)
}
