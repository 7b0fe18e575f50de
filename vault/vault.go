// Package vault reads secrets from the KV version 2 engine of HashiCorp Vault or OpenBao: from an
// address, a login and a path it makes a version of a secret, in memory. It guarantees that it
// asks only the server of its Options, that no token is written to disk, and that errors
// contain neither a token nor an answer of the server.
package vault

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/loopback"
)

const (
	// answerTime is the timeout of one request, maxAnswer the maximum size of its answer. Swarm
	// takes secrets of 500 KiB.
	answerTime = 10 * time.Second
	closeTime  = 5 * time.Second // for the end of a login
	maxAnswer  = limits.Bytes(4 << 20)
)

// Options name the server and the login. The files are read at each login.
type Options struct {
	Address   string // https://vault.example.com:8200
	Namespace string // of Vault Enterprise or OpenBao; "" for none
	CAFile    string // certificates that are trusted besides the system's; "" for none
	Mount     string // path of the KV version 2 engine, such as kv

	TokenFile    string // a token; or
	RoleIDFile   string // the role and secret IDs of an AppRole; or
	SecretIDFile string
	JWTFile      string // a JSON web token, with its Role
	Role         string
	AuthMount    string // path of the auth method; "" for approle or jwt
}

// Client reads secrets with one login, which the first request makes. Close ends the login.
type Client struct {
	options Options
	api     *api.Client
	login   *login // nil before the first request
	denied  bool   // a new login was forbidden something
}

var pathForm = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`)

// Validate checks the options without a request, and reads no file.
func (o Options) Validate() error {
	refuse := func(hint, text string) error { return fault.New(fault.Place{}, hint, "%s", text) }
	address, err := url.Parse(o.Address)
	switch {
	case err != nil || address.Host == "" || address.User != nil || address.RawQuery != "" || address.Fragment != "" || strings.Trim(address.Path, "/") != "":
		return refuse("write an address such as https://vault.example.com:8200", "vault_address is not an https address")
	case address.Scheme != "https" && (address.Scheme != "http" || !loopback.Is(address.Hostname())):
		return refuse("write https://"+address.Host, "vault_address does not use TLS, so that others could read the secrets")
	case !pathForm().MatchString(o.Mount):
		return refuse("write the path of the KV version 2 engine, such as kv", "vault_mount is not the path of an engine")
	case o.Namespace != "" && !pathForm().MatchString(strings.TrimSuffix(o.Namespace, "/")):
		return refuse("write a path such as team/coin", "vault_namespace is not the path of a namespace")
	case o.AuthMount != "" && !pathForm().MatchString(o.AuthMount):
		return refuse("write the path of the auth method, such as approle", "vault_auth_mount is not the path of an auth method")
	}
	return o.validateLogin()
}

func (o Options) validateLogin() error {
	const ways = "set vault_token_file, or vault_role_id_file and vault_secret_id_file, or vault_jwt_file and vault_role"
	logins := 0
	for _, file := range []string{o.TokenFile, o.RoleIDFile, o.JWTFile} {
		if file != "" {
			logins++
		}
	}
	switch {
	case logins == 0:
		return fault.New(fault.Place{}, ways, "vault_mount is set, but no login of Vault is")
	case logins > 1:
		return fault.New(fault.Place{}, ways+"; keep one of them", "more than one login of Vault is set")
	case (o.RoleIDFile == "") != (o.SecretIDFile == ""):
		return fault.New(fault.Place{}, "set both", "only one of vault_role_id_file and vault_secret_id_file is set")
	case (o.JWTFile == "") != (o.Role == ""):
		return fault.New(fault.Place{}, "set both", "only one of vault_jwt_file and vault_role is set")
	}
	return nil
}

// New makes a client. It sends no request.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fault.WithCode(err, fault.CodeSettings)
	}
	transport, err := authorities.Transport(o.CAFile)
	if err != nil {
		return nil, fault.WithCode(err, fault.CodeSettings)
	}
	transport.DisableKeepAlives = true
	client, err := api.NewClient(&api.Config{
		Address: strings.TrimRight(o.Address, "/"), DisableRedirects: true, Timeout: answerTime, Logger: slog.New(slog.DiscardHandler),
		HttpClient: authorities.Direct(short{transport}),
	})
	if err != nil { // the library reads VAULT_ variables, and its error may quote them
		return nil, fault.WithCode(fault.New(fault.Place{}, "remove the VAULT_ variables from the environment of the agent; its settings name the server", "the environment has VAULT_ variables that Vault's library does not accept"), fault.CodeSettings)
	}
	// What the library took from the environment does not count.
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}, "User-Agent": {"coin-agent"}})
	client.ClearToken()
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	if o.Namespace != "" {
		client.SetNamespace(o.Namespace)
	}
	return &Client{options: o, api: client}, nil
}

// short is a transport whose answers have a limit.
type short struct{ next http.RoundTripper }

func (s short) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.next.RoundTrip(request)
	if err == nil {
		response.Body = bounded.NewBudget(maxAnswer, errLong).Body(response.Body)
	}
	return response, err
}

// Where names the server and how the agent logs in, for people.
func (c *Client) Where() string { return c.options.Address + " " + c.options.how() }

func (o Options) how() string {
	switch {
	case o.TokenFile != "":
		return "by vault_token_file"
	case o.RoleIDFile != "":
		return "by AppRole"
	}
	return "by JWT as " + o.Role
}

// Check logs in, and says for how long the token is valid.
func (c *Client) Check(ctx context.Context) (string, error) {
	if err := c.begin(ctx); err != nil {
		return "", err
	}
	switch {
	case !c.login.known:
		return "", failed(loginHint, "%s does not accept the token in vault_token_file, or does not let it look itself up", c.options.Address)
	case c.login.valid == 0:
		return c.Where() + ", with a token that does not expire", nil
	}
	return c.Where() + ", with a token that is valid for " + c.login.valid.Round(time.Second).String(), nil
}
