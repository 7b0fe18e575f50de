// Package launchdarkly reads the feature flags of a LaunchDarkly project. Input: the project, an
// environment and a token. Output: for each flag the one value that everyone gets, or why there is
// none. It guarantees that a missing or strange answer is an error and never a value, and that
// errors do not contain the token.
package launchdarkly

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"coin.internal/coin-agent/internal/authorities"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/noanswer"
	"coin.internal/coin-agent/internal/oneline"
	"coin.internal/coin-agent/internal/privatefile"
)

// DefaultURL is LaunchDarkly's address, but for its federal and European instances.
const DefaultURL = "https://app.launchdarkly.com"

const (
	apiVersion = "20240415"
	pageSize   = 100
	maxPages   = 100
	maxAnswer  = 16 << 20 // of one page
	answerIn   = 30 * time.Second
	maxMessage = 200
)

// Options has the address and the login.
type Options struct {
	URL       string // "" for DefaultURL
	TokenFile string // has only the token
	CAFile    string // certificates that are trusted besides the system's; may be empty
}

// Client asks LaunchDarkly. It follows no redirect, which could send the token to another server.
type Client struct {
	http  *http.Client
	base  string
	token string
}

// New checks the options and reads the token. It does not send a request.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	address, err := url.Parse(o.URL)
	switch {
	case err != nil || address.Host == "" || address.User != nil || address.RawQuery != "" || strings.Trim(address.Path, "/") != "":
		return nil, fault.New(fault.Place{}, "write it as "+DefaultURL, "the address of LaunchDarkly is not valid")
	case address.Scheme != "https" && (address.Scheme != "http" || !loopback.Is(address.Hostname())):
		return nil, fault.New(fault.Place{}, "write it as https://"+address.Host, "the address of LaunchDarkly does not use TLS, so that others could read the token")
	case o.TokenFile == "":
		return nil, fault.New(fault.Place{}, "name the file with a service token of the role Reader", "no token for LaunchDarkly is given")
	}
	token, err := privatefile.Read(o.TokenFile, "the token file", nil)
	if err != nil {
		return nil, err
	}
	client, err := authorities.Client(o.CAFile)
	if err != nil {
		return nil, err
	}
	client.Timeout = answerIn
	return &Client{http: client, base: address.Scheme + "://" + address.Host, token: strings.TrimSpace(string(token))}, nil
}

// Flags reads all flags of a project that are not archived, as they are in an environment.
func (c *Client) Flags(ctx context.Context, project, environment string) ([]Flag, error) {
	var flags []Flag
	known := map[string]bool{}
	for page := range maxPages {
		query := url.Values{"env": {environment}, "summary": {"0"}, "limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(page * pageSize)}, "sort": {"key"}}
		var answer struct {
			Items *[]item `json:"items"`
			Total int     `json:"totalCount"`
		}
		if err := c.get(ctx, "/api/v2/flags/"+url.PathEscape(project)+"?"+query.Encode(), &answer); err != nil {
			return nil, fmt.Errorf("read the flags of project %s: %w", project, err)
		}
		if answer.Items == nil {
			return nil, fmt.Errorf("read the flags of project %s: the answer has no list of flags", project)
		}
		for _, one := range *answer.Items {
			flag, err := one.flag(environment)
			if err == nil && known[flag.Key] { // then another one is in none of the pages
				err = fault.New(fault.Place{}, "try again: the list has changed between two pages", "the flag %q is in the list twice", flag.Key)
			}
			if err != nil {
				return nil, fmt.Errorf("read the flags of project %s: %w", project, err)
			}
			known[flag.Key] = true
			flags = append(flags, flag)
		}
		if len(*answer.Items) == 0 || len(flags) >= answer.Total {
			if len(flags) != answer.Total {
				return nil, fmt.Errorf("read the flags of project %s: got %d of %d flags", project, len(flags), answer.Total)
			}
			return flags, nil
		}
	}
	return nil, fault.New(fault.Place{}, "", "project %s has more than %d flags", project, maxPages*pageSize)
}

// get sends a request and reads its answer.
func (c *Client) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", c.token)
	request.Header.Set("LD-API-Version", apiVersion)
	request.Header.Set("User-Agent", "coin-agent")
	response, err := c.http.Do(request)
	if err != nil {
		return fault.WithHint(fmt.Errorf("LaunchDarkly does not answer: %w", noanswer.Cause(err)), "try again later: nothing was changed")
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	body, err := bounded.ReadAll(response.Body, maxAnswer)
	if err != nil {
		return fmt.Errorf("read LaunchDarkly's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return c.refused(response, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read LaunchDarkly's answer: %w", err)
	}
	return nil
}

// refused gives the error of an answer, without the token if the answer repeats it.
func (c *Client) refused(response *http.Response, body []byte) error {
	var said struct{ Message string }
	_ = json.Unmarshal(body, &said) // the code decides
	text := fmt.Sprintf("LaunchDarkly answers %d", response.StatusCode)
	if said.Message != "" {
		text += ": " + oneline.Cut(strings.ReplaceAll(said.Message, c.token, "[token]"), maxMessage)
	}
	hint := ""
	switch response.StatusCode {
	case http.StatusUnauthorized:
		hint = "check the token: it must be an access token, not an SDK key, and not expired"
	case http.StatusForbidden:
		hint = "give the token the role Reader for the project"
	case http.StatusNotFound:
		hint = "check --project and the environment's key"
	case http.StatusTooManyRequests:
		hint = "wait, and try again"
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
			hint = fmt.Sprintf("try again in %ds", seconds)
		} else if at, err := strconv.ParseInt(response.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			hint = "try again after " + time.UnixMilli(at).UTC().Format("15:04:05 UTC")
		}
	}
	return fault.New(fault.Place{}, hint, "%s", text)
}
