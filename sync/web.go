package sync

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/backoff"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
)

const (
	infoRefs   = "/info/refs"
	uploadPack = "git-upload-pack"
)

// web is a server of git's smart HTTP.
type web struct {
	client *http.Client
	remote Remote

	base atomic.Pointer[url.URL] // follows redirects of the listing within the host
	held backoff.Hold            // that the server asked for
}

// openWeb connects to a server of smart HTTP. While the server has asked to wait, which counts for
// all exchanges, it is not asked.
func openWeb(remote Remote, u *url.URL) (func(context.Context, version) (session, error), error) {
	if remote.TokenFile != "" {
		if u.Scheme == "http" && !loopback.Is(u.Hostname()) {
			return nil, fault.New(fault.Place{}, "use https://", "remote %s: a token must not be sent over plain http", u)
		}
		if _, err := readToken(remote.TokenFile); err != nil {
			return nil, err
		}
	}
	trust, err := authorities.Load(remote.CAFile)
	if err != nil {
		return nil, err
	}
	site := &web{remote: remote}
	site.base.Store(u)
	site.client = &http.Client{
		CheckRedirect: stayOnHost,
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			DialContext:     dialer(remote.Timeout),
			TLSClientConfig: &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12},
			IdleConnTimeout: 5 * time.Second, // enough for the requests of one fetch
		},
	}
	return func(_ context.Context, asked version) (session, error) {
		if left := site.held.Left(); left > 0 {
			return nil, heldError(left)
		}
		return webSession{site, asked}, nil
	}, nil
}

// webSession asks the server in one version of the protocol.
type webSession struct {
	site  *web
	asked version
}

// stayOnHost refuses redirects that would send the token to another host.
func stayOnHost(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	if req.URL.Host != from.Host || req.URL.Scheme != from.Scheme || req.Method != http.MethodGet || len(via) > 5 {
		target := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: strings.TrimSuffix(req.URL.Path, infoRefs)}
		return fault.New(fault.Place{}, "set the remote's URL to this address if you trust it", "the remote redirects to %s", target.String())
	}
	return nil
}

func (s webSession) refs(ctx context.Context) (io.ReadCloser, error) {
	answer, err := s.do(ctx, http.MethodGet, infoRefs+"?service="+uploadPack, nil)
	if err != nil {
		return nil, err
	}
	if final := answer.Request.URL; strings.HasSuffix(final.Path, infoRefs) {
		s.site.base.Store(&url.URL{Scheme: final.Scheme, Host: final.Host, Path: strings.TrimSuffix(final.Path, infoRefs)})
	}
	return answer.Body, nil
}

func (s webSession) pack(ctx context.Context, request *bytes.Buffer) (io.ReadCloser, error) {
	answer, err := s.do(ctx, http.MethodPost, "/"+uploadPack, request)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// do sends one request, and refuses answers with another content type.
func (s webSession) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.site.base.Load().String(), "/")+path, body)
	if err != nil {
		return nil, err
	}
	want := "application/x-" + uploadPack + "-advertisement"
	if method == http.MethodPost {
		want = "application/x-" + uploadPack + "-result"
		req.Header.Set("Content-Type", "application/x-"+uploadPack+"-request")
	}
	req.Header.Set("Accept", want)
	req.Header.Set("User-Agent", capability.DefaultAgent())
	if s.asked != version0 {
		req.Header.Set(versionHeader, string(s.asked))
	}
	if s.site.remote.TokenFile != "" {
		token, err := readToken(s.site.remote.TokenFile)
		if err != nil {
			return nil, err
		}
		req.SetBasicAuth(s.site.remote.Username, token)
	}
	answer, err := s.site.client.Do(req)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		if status := answer.StatusCode; status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			s.site.held.Ask(backoff.RetryAfter(answer.Header))
		}
		return nil, statusError(answer.StatusCode)
	}
	if kind := answer.Header.Get("Content-Type"); kind != want {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("the content type of the answer is %q, which is not git's smart HTTP (a login page?)", kind)
	}
	return answer, nil
}

func (s webSession) failed(err error) error { return err }

func (s webSession) close() {} // connections belong to the client
