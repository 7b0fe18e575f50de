package sync

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
)

const (
	defaultTimeout = 30 * time.Second
	defaultUser    = "oauth2" // what GitLab takes with any kind of token
)

// Remote says where the repository is and which files open it. The files are
// read anew for each connection.
type Remote struct {
	// URL is https://, http://, ssh:// or user@host:path, git://, file:// or a
	// plain path.
	URL string

	Username  string // with TokenFile; empty means oauth2
	TokenFile string // for https; readable by its owner alone

	KeyFile        string // for ssh: a private key without passphrase, readable by its owner alone
	KnownHostsFile string // for ssh: the host keys that are trusted, and no others

	CAFile string // for https: PEM certificates trusted besides the system's

	// Timeout is the silence after which a connection counts as dead; zero
	// means 30 s. No single exchange lasts longer than ten times that.
	Timeout time.Duration
}

// Repository is an opened Remote. It holds no connection and no content, only
// what it has learned of the server. It may be used concurrently.
type Repository struct {
	name string // the URL, fit to be shown
	src  source

	mu   sync.Mutex
	tags map[plumbing.Hash]tagged // by the hash that the tag's ref holds
}

// source is one kind of remote: over the wire, or a local directory.
type source interface {
	list(ctx context.Context) (*listing, error)
	// pull gives a store that holds what is needed, if the remote has it.
	pull(ctx context.Context, need need) (storer.EncodedObjectStorer, error)
	// blobs completes the store that pull gave for need.
	blobs(ctx context.Context, store storer.EncodedObjectStorer, need need, blobs []plumbing.Hash) error
}

// need is a request for objects.
type need struct {
	wants  []plumbing.Hash
	ref    string        // full name of the ref that led to the one want, if any
	have   plumbing.Hash // not this commit and what it reaches; errUnknownHave when the remote lacks it
	depth  int
	filter packp.Filter
}

// Open checks the remote's address and files. It asks nothing of the network.
func Open(remote Remote) (*Repository, error) {
	if remote.Timeout <= 0 {
		remote.Timeout = defaultTimeout
	}
	if remote.Username == "" {
		remote.Username = defaultUser
	}
	at, err := parse(remote.URL)
	if err != nil {
		return nil, err
	}
	repo := &Repository{name: at.shown}
	if at.url.Scheme == "file" {
		repo.src = &local{dir: at.url.Path, name: at.shown}
		return repo, nil
	}
	over := &wire{name: at.shown, remote: remote}
	repo.src = over
	switch at.url.Scheme {
	case "http", "https":
		over.connect, err = openWeb(remote, at.url)
		over.stateless = true
	case "ssh":
		over.connect, err = openSSH(remote, at.url)
	case "git":
		over.connect = openDaemon(remote, at.url)
	}
	if err != nil {
		return nil, err
	}
	return repo, nil
}

// String gives the remote's address, without credentials.
func (r *Repository) String() string { return r.name }

type address struct {
	url   *url.URL
	shown string
}

// parse reads an address as git does. Its errors never quote one that holds
// credentials.
func parse(raw string) (address, error) {
	if raw == "" {
		return address{}, fault.New(fault.Place{}, "set the URL of the repository", "the remote has no URL")
	}
	if !strings.Contains(raw, "://") {
		return parseShort(raw)
	}
	u, err := url.Parse(raw)
	if err != nil { // its text may hold a password
		return address{}, fault.New(fault.Place{}, "write it as https://host/group/project.git", "the remote's URL cannot be read")
	}
	at := address{url: u, shown: u.Redacted()}
	_, password := u.User.Password()
	web := u.Scheme == "http" || u.Scheme == "https"
	switch {
	case password, web && u.User != nil, u.RawQuery != "", u.Fragment != "":
		bare := &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
		return address{}, fault.New(fault.Place{}, "put the token in a file of its own and name that file; the URL is just "+bare.String(),
			"the remote's URL holds a user, password or query")
	case u.Scheme == "file" && u.Host == "" && u.Path != "":
		return at, nil
	case !web && u.Scheme != "ssh" && u.Scheme != "git":
		return address{}, fault.New(fault.Place{}, "use https://, ssh://, git://, file:// or a path", "remote %s: unknown kind of URL", at.shown)
	case u.Hostname() == "" || strings.Trim(u.Path, "/") == "":
		return address{}, fault.New(fault.Place{}, "write it as https://host/group/project.git", "remote %s: host or path is missing", at.shown)
	}
	return at, nil
}

// parseShort reads user@host:path and plain paths; a colon before any slash
// makes the difference, as it does for git.
func parseShort(raw string) (address, error) {
	host, path, found := strings.Cut(raw, ":")
	if !found || strings.Contains(host, "/") {
		dir, err := filepath.Abs(raw)
		if err != nil {
			return address{}, fault.New(fault.Place{}, "give an absolute path", "remote %s: %w", raw, err)
		}
		return address{url: &url.URL{Scheme: "file", Path: dir}, shown: raw}, nil
	}
	user, name, withUser := strings.Cut(host, "@")
	if !withUser {
		user, name = "", host
	}
	if strings.Contains(path, "@") {
		return address{}, fault.New(fault.Place{}, "write it as git@host:group/project.git, and never with a password", "the remote's address cannot be read")
	}
	if name == "" || path == "" {
		return address{}, fault.New(fault.Place{}, "write it as git@host:group/project.git", "remote %s: host or path is missing", raw)
	}
	u := &url.URL{Scheme: "ssh", Host: name, Path: path}
	if user != "" {
		u.User = url.User(user)
	}
	return address{url: u, shown: raw}, nil
}

// hostPort gives what to dial.
func hostPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
