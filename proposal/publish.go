package proposal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/loopback"
	"coin.internal/coin-agent/internal/privatefile"
	gitsync "coin.internal/coin-agent/sync"
)

// Publisher pushes the branch of a commit and opens its merge request.
type Publisher struct {
	GitLab *gitlab.Client
	// Remote has the address to push to, and the files with its credentials. Without a
	// URL, the working copy's origin is the address.
	Remote gitsync.Remote
	Target string // of the merge request; "" for the project's default branch
}

// How long to wait until GitLab shows a branch that was pushed.
const (
	seenWithin = 30 * time.Second
	seenEvery  = 500 * time.Millisecond
)

// Publish pushes the branch, unless GitLab has it, and opens a merge request, unless one
// is open. It refuses the commit of an earlier run that is merged.
func (p Publisher) Publish(ctx context.Context, w *Worktree, commit *Commit) (opened gitlab.OpenMergeRequest, err error) {
	if err := p.notMerged(ctx, w, commit); err != nil {
		return opened, err
	}
	tip, err := p.GitLab.Tip(ctx, commit.Branch)
	if err == nil && tip != commit.Hash {
		err = p.push(ctx, w, commit)
		if err == nil {
			err = p.awaitTip(ctx, commit)
		}
	}
	if err != nil {
		return opened, err
	}
	return p.Open(ctx, commit)
}

// Open opens the merge request of a branch that GitLab has, unless one is open.
func (p Publisher) Open(ctx context.Context, commit *Commit) (opened gitlab.OpenMergeRequest, err error) {
	if p.Target == "" {
		if p.Target, err = p.GitLab.DefaultBranch(ctx); err != nil {
			return opened, err
		}
	}
	return p.GitLab.OpenMergeRequest(ctx, gitlab.MergeRequest{
		Source: commit.Branch, Target: p.Target, Title: cmp.Or(commit.Title, commit.Message), Description: commit.Text,
	})
}

// notMerged refuses a commit of an earlier run that is merged: the user is still on its branch, or GitLab
// still has the branch, and a new one is wanted.
func (p Publisher) notMerged(ctx context.Context, w *Worktree, commit *Commit) error {
	if !commit.Taken {
		return nil
	}
	target, err := p.Target, error(nil)
	if target == "" {
		if target, err = p.GitLab.DefaultBranch(ctx); err != nil {
			return err
		}
	}
	merged, err := p.GitLab.Merged(ctx, commit.Branch, target, commit.Hash)
	if err != nil || merged.Number == 0 {
		return err
	}
	if w.Branch() != commit.Branch {
		return fault.New(fault.Place{}, "delete it (git push origin --delete "+commit.Branch+"), bring the clone up to date (git pull --ff-only), and run the command again",
			"GitLab has the branch %s, which !%d has merged", commit.Branch, merged.Number)
	}
	return fault.New(fault.Place{}, "git switch "+target+" && git pull --ff-only, and run the command again",
		"the branch %s is checked out, and !%d has merged it", commit.Branch, merged.Number)
}

// awaitTip waits until GitLab's API shows the pushed commit.
func (p Publisher) awaitTip(ctx context.Context, commit *Commit) error {
	ctx, cancel := context.WithTimeout(ctx, seenWithin)
	defer cancel()
	for {
		tip, err := p.GitLab.Tip(ctx, commit.Branch)
		if err != nil || tip == commit.Hash {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Place{}, "check that gitlab_project is the project that the branch was pushed to",
				"the branch %s was pushed, but GitLab does not show it", commit.Branch)
		case <-time.After(seenEvery):
		}
	}
}

// Address is the address to push to; "" if none is configured.
func (p Publisher) Address(w *Worktree) string {
	if p.Remote.URL != "" {
		return p.Remote.URL
	}
	origin, err := w.git.Repo.Remote(git.DefaultRemoteName)
	if err != nil || len(origin.Config().URLs) == 0 {
		return ""
	}
	return origin.Config().URLs[0]
}

func (p Publisher) push(ctx context.Context, w *Worktree, commit *Commit) error {
	address := p.Address(w)
	if address == "" {
		return fault.New(fault.Place{}, "name the repository with --repository, or run: git remote add origin URL", "the working copy does not have a remote to push to")
	}
	auth, err := p.auth(address)
	if err != nil {
		return err
	}
	options := &git.PushOptions{
		RemoteURL: shown(address), Auth: auth, // the library's errors show the address
		RefSpecs: []config.RefSpec{config.RefSpec("refs/heads/" + commit.Branch + ":refs/heads/" + commit.Branch)},
	}
	if p.Remote.CAFile != "" {
		if options.CABundle, err = os.ReadFile(p.Remote.CAFile); err != nil {
			return fault.New(fault.Place{File: p.Remote.CAFile}, "name the file of the certificate authority in ca_file", "read CA file: %w", err)
		}
	}
	err = w.git.Repo.PushContext(ctx, options)
	if err == nil || errors.Is(err, git.NoErrAlreadyUpToDate) {
		return nil
	}
	hint := "push it by hand and run the command again: git push -u origin " + commit.Branch
	if errors.Is(err, transport.ErrAuthenticationRequired) || errors.Is(err, transport.ErrAuthorizationFailed) {
		hint = "set git_token_file to a token that may push (scope write_repository, role Developer), or " + hint
	}
	return fault.New(fault.Place{}, hint, "push %s to %s: %s", commit.Branch, shown(address), err)
}

// auth makes the credentials for an address from the files that are configured.
func (p Publisher) auth(address string) (transport.AuthMethod, error) {
	endpoint, err := transport.NewEndpoint(address)
	if err != nil {
		return nil, fault.New(fault.Place{}, "check it with: git remote -v", "the address to push to cannot be read")
	}
	switch endpoint.Protocol {
	case "http", "https":
		switch {
		case p.Remote.TokenFile == "" && endpoint.User == "":
			return nil, nil //nolint:nilnil // the server decides
		case endpoint.Protocol == "http" && !loopback.Is(endpoint.Host):
			return nil, fault.New(fault.Place{}, "use https://", "a token is not sent over plain http to %s", endpoint.Host)
		case p.Remote.TokenFile == "": // the address contains credentials, as in CI jobs
			return &githttp.BasicAuth{Username: endpoint.User, Password: endpoint.Password}, nil
		}
		token, err := privatefile.Read(p.Remote.TokenFile, "the git token", nil)
		if err != nil {
			return nil, err
		}
		return &githttp.BasicAuth{Username: cmp.Or(p.Remote.Username, "oauth2"), Password: strings.TrimSpace(string(token))}, nil
	case "ssh":
		return p.sshAuth(endpoint)
	}
	return nil, nil //nolint:nilnil // a local path needs none
}

func (p Publisher) sshAuth(endpoint *transport.Endpoint) (transport.AuthMethod, error) {
	const hint = "set ssh_key_file and known_hosts_file, or push the branch by hand (git push) and run the command again"
	if p.Remote.KeyFile == "" || p.Remote.KnownHostsFile == "" {
		return nil, fault.New(fault.Place{}, hint, "ssh_key_file or known_hosts_file is not set, so the branch cannot be pushed over ssh to %s", endpoint.Host)
	}
	keys, err := gitssh.NewPublicKeysFromFile(cmp.Or(endpoint.User, "git"), p.Remote.KeyFile, "")
	if err != nil {
		return nil, fault.New(fault.Place{File: p.Remote.KeyFile}, hint, "the ssh key cannot be used")
	}
	if keys.HostKeyCallback, err = gitssh.NewKnownHostsCallback(p.Remote.KnownHostsFile); err != nil {
		return nil, fault.New(fault.Place{File: p.Remote.KnownHostsFile}, hint, "the known hosts cannot be read")
	}
	return keys, nil
}

// shown gives an address without credentials.
func shown(address string) string {
	if parsed, err := url.Parse(address); err == nil && parsed.User != nil {
		return fmt.Sprintf("%s://%s%s", parsed.Scheme, parsed.Host, parsed.Path)
	}
	return address
}
