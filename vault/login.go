package vault

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

const loginHint = "check the files of the login in agent.yml and the role in Vault; the agent reads the files at each login"

// login is a token in memory.
type login struct {
	own   bool          // this client made it, and ends it
	known bool          // Vault has accepted it
	valid time.Duration // 0 for a token that does not expire
}

// begin logs in once. Errors are transient: the commit does not cause them.
func (c *Client) begin(ctx context.Context) error {
	if c.login != nil {
		return nil
	}
	var made *login
	var err error
	switch o := c.options; {
	case o.TokenFile != "":
		made, err = c.useToken(ctx)
	case o.RoleIDFile != "":
		made, err = c.exchange(ctx, o.authMount("approle"), map[string]string{"role_id": o.RoleIDFile, "secret_id": o.SecretIDFile}, nil)
	default:
		made, err = c.exchange(ctx, o.authMount("jwt"), map[string]string{"jwt": o.JWTFile}, map[string]string{"role": o.Role})
	}
	if err != nil {
		return err
	}
	c.login = made
	return nil
}

func (o Options) authMount(usual string) string {
	if o.AuthMount != "" {
		return o.AuthMount
	}
	return usual
}

// useToken takes the token of the file, and renews it if it can be renewed. A token may lack
// the right to look itself up: the first read then shows whether it is valid.
func (c *Client) useToken(ctx context.Context) (*login, error) {
	token, err := readLine(c.options.TokenFile, "the file of vault_token_file")
	if err != nil {
		return nil, err
	}
	c.api.SetToken(token)
	var found struct {
		Data struct {
			TTL       int  `json:"ttl"`
			Renewable bool `json:"renewable"`
		} `json:"data"`
	}
	status, err := c.send(ctx, http.MethodGet, "auth/token/lookup-self", nil, nil, &found)
	switch {
	case err != nil:
		c.api.ClearToken()
		return nil, err
	case status != http.StatusOK:
		return &login{}, nil
	}
	made := &login{known: true, valid: time.Duration(found.Data.TTL) * time.Second}
	if found.Data.Renewable {
		var renewed answerOfLogin
		if status, err := c.send(ctx, http.MethodPost, "auth/token/renew-self", nil, map[string]string{}, &renewed); err == nil && status == http.StatusOK {
			made.valid = time.Duration(renewed.Auth.Lease) * time.Second
		}
	}
	return made, nil
}

// answerOfLogin is what a login or a renewal gives.
type answerOfLogin struct {
	Auth struct {
		Token string `json:"client_token"`
		Lease int    `json:"lease_duration"`
	} `json:"auth"`
}

// exchange gives the content of files to an auth method for a token.
func (c *Client) exchange(ctx context.Context, mount string, files, more map[string]string) (*login, error) {
	body := map[string]string{}
	for key, file := range files {
		text, err := readLine(file, "the file of Vault's "+key)
		if err != nil {
			return nil, err
		}
		body[key] = text
	}
	maps.Copy(body, more)
	var answer answerOfLogin
	status, err := c.send(ctx, http.MethodPost, "auth/"+mount+"/login", nil, body, &answer)
	switch {
	case err != nil:
		return nil, err
	case status != http.StatusOK || answer.Auth.Token == "":
		return nil, failed(loginHint, "%s refuses the login %s at auth/%s (HTTP %d)", c.options.Address, c.options.how(), mount, status)
	}
	c.api.SetToken(answer.Auth.Token)
	return &login{own: true, known: true, valid: time.Duration(answer.Auth.Lease) * time.Second}, nil
}

// Close ends the login that the client made, so that its token is not valid longer than it is
// used, also once ctx is over. A server that does not answer ends it by itself, when its time is
// over.
func (c *Client) Close(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer stop()
	if c.login != nil && c.login.own {
		_, _ = c.send(ctx, http.MethodPost, "auth/token/revoke-self", nil, map[string]string{}, nil)
	}
	c.login = nil
	c.api.ClearToken()
}

// readLine reads a private file with one line.
func readLine(file, what string) (string, error) {
	text, err := privatefile.Read(file, what, nil)
	defer clear(text)
	if err != nil {
		return "", fault.Transient(fault.WithCode(err, fault.CodeVault))
	}
	line := bytes.TrimSpace(text)
	if bytes.ContainsAny(line, "\r\n\x00") {
		return "", fault.Transient(fault.WithCode(fault.New(fault.Place{File: file}, "write only the token or ID into the file", "%s has more than one line", what), fault.CodeVault))
	}
	return string(line), nil
}

// statusOf gives the status of an answer, or why there is none.
func (c *Client) statusOf(response *api.Response, err error) (int, error) {
	answered, ok := errors.AsType[*api.ResponseError](err)
	switch {
	case ok:
		return answered.StatusCode, nil
	case err != nil || response == nil:
		return 0, c.away(err)
	}
	return response.StatusCode, nil
}
