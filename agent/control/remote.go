package control

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/privatefile"
)

// Remote is the API of an agent on another node.
type Remote struct {
	URL       string
	TokenFile string
	CAFile    string // extra certificates to trust; "" for none
	Most      int64  // bytes of an answer that are read; 0 for as many as an agent sends
}

// NewRemote makes a client of it; nothing is sent yet. The token is sent over TLS only, but
// to this machine.
func NewRemote(to Remote) (*Client, error) {
	address, err := addressOf(to.URL)
	switch {
	case err != nil:
		return nil, err
	case to.TokenFile == "":
		return nil, fault.New(fault.Place{}, "name the file with a token of that agent's api_tokens by --token-file", "no token is given for %s", to.URL)
	}
	token, err := privatefile.Read(to.TokenFile, "the token file", nil)
	if err != nil {
		return nil, err
	}
	roots, err := authorities.Load(to.CAFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:   true,
	}
	return &Client{
		http: authorities.Direct(transport),
		base: address.Scheme + "://" + address.Host, token: strings.TrimSpace(string(token)), most: cmp.Or(to.Most, maxAnswer),
	}, nil
}

// CheckAddress reports why an address cannot be that of an agent which gets a token.
func CheckAddress(address string) error {
	_, err := addressOf(address)
	return err
}

func addressOf(text string) (*url.URL, error) {
	address, err := url.Parse(text)
	switch {
	case err != nil || address.Host == "" || address.Path != "" && address.Path != "/" || address.User != nil || address.RawQuery != "":
		return nil, fault.New(fault.Place{}, "write it as https://node3.example.com:9181", "the agent's address %q is not valid", text)
	case address.Scheme != "https" && (address.Scheme != "http" || !loopback.Is(address.Hostname())):
		return nil, fault.New(fault.Place{}, "write it as https://"+address.Host, "the agent's address does not use TLS, so that others could read the token")
	}
	return address, nil
}
