package sync

import (
	"context"
	"hash/maphash"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

const (
	defaultTimeout = 30 * time.Second
	defaultUser    = "oauth2" // GitLab accepts it with all kinds of tokens
)

// Remote has the address of the repository and the files for its access. Each connection
// reads the files again.
type Remote struct {
	// URL is https://, http://, ssh:// or user@host:path, git://, file:// or a path.
	URL string

	Username  string // with TokenFile; empty means oauth2
	TokenFile string // for https; only its owner may access it

	KeyFile        string // for ssh: a private key without passphrase; only its owner may access it
	KnownHostsFile string // for ssh: the trusted host keys

	CAFile string // for https: PEM certificates trusted besides the system's

	MergeRequests bool // Heads follows merge requests; else they are not listed

	Limits limits.Limits // zero means the default ones

	// Timeout ends a connection without traffic; zero means 30 s. An exchange ends after
	// Limits.FetchTime.
	Timeout time.Duration
}

// Repository is an opened Remote. It keeps no connection and no file, only facts about the
// server and the folders of the last commit. It is safe for concurrent use.
type Repository struct {
	name   string // the URL without credentials
	limits limits.Limits
	src    source
	tags   atomic.Pointer[map[plumbing.Hash]plumbing.Hash] // commits by the hash in the tag's ref; zero for none
	seed   maphash.Seed
	heads  atomic.Uint64 // see Heads

	follows  bool        // Heads follows merge requests
	requests atomic.Bool // the remote has listed refs of merge requests
}

// source is one kind of remote: over the network, or a local directory.
type source interface {
	// list returns the refs by full name that begin with one of the prefixes; it may return others.
	list(ctx context.Context, prefixes []string) (map[string]plumbing.Hash, error)
	// pull returns a store with the needed objects, if the remote has them.
	pull(ctx context.Context, need need) (storer.EncodedObjectStorer, error)
	// blobs adds blobs to the store that pull returned for need.
	blobs(ctx context.Context, store storer.EncodedObjectStorer, need need, blobs []plumbing.Hash) error
}

// need is a request for objects.
type need struct {
	wants  []plumbing.Hash
	ref    string        // full name of the ref with the only want, or ""
	have   plumbing.Hash // excludes this commit and its ancestors; errUnknownHave if the remote does not have it
	depth  int
	filter packp.Filter
	known  *known // what the store of the answer has already; nil for nothing
}

// Open checks the remote's address and files. It does not use the network.
func Open(remote Remote) (*Repository, error) {
	if remote.Timeout <= 0 {
		remote.Timeout = defaultTimeout
	}
	if remote.Username == "" {
		remote.Username = defaultUser
	}
	remote.Limits = remote.Limits.OrDefault()
	u, shown, err := parse(remote.URL)
	if err != nil {
		return nil, err
	}
	repo := &Repository{name: shown, limits: remote.Limits, seed: maphash.MakeSeed(), follows: remote.MergeRequests}
	repo.tags.Store(&map[plumbing.Hash]plumbing.Hash{})
	if u.Scheme == "file" {
		repo.src = &local{dir: u.Path, name: shown}
		return repo, nil
	}
	over := &wire{name: shown, remote: remote}
	repo.src = over
	switch u.Scheme {
	case "http", "https":
		over.connect, err = openWeb(remote, u)
		over.stateless = true
	case "ssh":
		over.connect, err = openSSH(remote, u)
	case "git":
		over.connect = openDaemon(remote, u)
	}
	if err != nil {
		return nil, err
	}
	return repo, nil
}

// String returns the remote's address without credentials.
func (r *Repository) String() string { return r.name }

// parse reads an address as git does, and returns it also as it may be shown. Its errors
// do not quote credentials.
func parse(raw string) (u *url.URL, shown string, err error) {
	if raw == "" {
		return nil, "", fault.New(fault.Place{}, "set the URL of the repository", "the remote has no URL")
	}
	if !strings.Contains(raw, "://") {
		return parseShort(raw)
	}
	u, err = url.Parse(raw)
	if err != nil { // the error may quote a password
		return nil, "", fault.New(fault.Place{}, "write a URL such as https://host/group/project.git", "the remote's URL is not valid")
	}
	_, password := u.User.Password()
	web := u.Scheme == "http" || u.Scheme == "https"
	switch {
	case password, web && u.User != nil, u.RawQuery != "", u.Fragment != "":
		bare := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
		return nil, "", fault.New(fault.Place{}, "write the token into a file, set the path of that file, and use the URL "+bare.String(),
			"the remote's URL contains a user, password or query")
	case u.Scheme == "file" && u.Host == "" && u.Path != "":
		return u, u.Redacted(), nil
	case !web && u.Scheme != "ssh" && u.Scheme != "git":
		return nil, "", fault.New(fault.Place{}, "use https://, ssh://, git://, file:// or a path", "remote %s: unknown URL scheme", u.Redacted())
	case u.Hostname() == "" || strings.Trim(u.Path, "/") == "":
		return nil, "", fault.New(fault.Place{}, "write a URL such as https://host/group/project.git", "remote %s: host or path is missing", u.Redacted())
	}
	return u, u.Redacted(), nil
}

// parseShort reads user@host:path and paths. As in git, a colon before the first slash
// marks a host.
func parseShort(raw string) (u *url.URL, shown string, err error) {
	host, path, found := strings.Cut(raw, ":")
	if !found || strings.Contains(host, "/") {
		dir, err := filepath.Abs(raw)
		if err != nil {
			return nil, "", fault.New(fault.Place{}, "use an absolute path", "remote %s: %w", raw, err)
		}
		return &url.URL{Scheme: "file", Path: dir}, raw, nil
	}
	user, name, withUser := strings.Cut(host, "@")
	if !withUser {
		user, name = "", host
	}
	if strings.Contains(path, "@") {
		return nil, "", fault.New(fault.Place{}, "write an address such as git@host:group/project.git, without a password", "the remote's address is not valid")
	}
	if name == "" || path == "" {
		return nil, "", fault.New(fault.Place{}, "write an address such as git@host:group/project.git", "remote %s: host or path is missing", raw)
	}
	u = &url.URL{Scheme: "ssh", Host: name, Path: path}
	if user != "" {
		u.User = url.User(user)
	}
	return u, raw, nil
}

// hostPort returns the address to connect to.
func hostPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}
