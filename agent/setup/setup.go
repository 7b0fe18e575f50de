// Package setup brings a node under the agent: it takes a person's answers, asks what depends on
// each of them, and gives the files of an agent that observes. It guarantees that it replaces no
// file unless that is asked for, and that it shows no token and no key.
package setup

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/policy"
	gitsync "coin.internal/coin-agent/sync"
)

// probeLimit bounds each question to a server.
const probeLimit = time.Minute

// folderName is the form of the names of environments and nodes.
var folderName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Question is what a person is asked for.
type Question struct {
	Setting  string // its name in agent.yml; the flag has dashes
	Text     string
	Default  string
	Choices  []string // nil: any text is an answer
	Optional bool     // no answer is one, too
}

// Person answers questions.
type Person interface {
	Ask(ctx context.Context, question Question) (string, error)
	// Secret asks for a text that is not shown. "" for none.
	Secret(ctx context.Context, text string) (string, error)
	// Again reports whether the person answers again after what failed.
	Again(failed error) bool
}

// Dependencies are what a setup asks besides git.
type Dependencies struct {
	Engine  func(ctx context.Context) (found string, err error)
	Secrets func(ctx context.Context) error                                            // whether the keys open the node's secrets
	GitLab  func(ctx context.Context) (found string, err error)                        // with the settings' token
	Policy  func(ctx context.Context) (rules *policy.Policy, source string, err error) // for what runs now
}

// Setup makes the settings of a node.
type Setup struct {
	Settings *settings.Settings // with the answers that are given already
	Folder   string             // of agent.yml, of the tokens and keys
	Person   Person
	On       Dependencies
	Say      func(format string, args ...any)
	Warn     func(error)
	Keep     func() error // keeps the answers so far, for a setup that is interrupted

	again     bool
	typed     []string // files of tokens that were typed
	checkout  *gitsync.Checkout
	suggested *policy.Policy
	source    string // of what is suggested
}

// Run asks and probes one thing after the other.
func (s *Setup) Run(ctx context.Context) error {
	for _, step := range []struct {
		ask   func(context.Context) error
		probe func(context.Context) (string, error)
	}{
		{s.askRepository, s.probeRepository},
		{s.askEnvironment, s.probeNode},
		{s.askKeys, s.probeKeys},
		{nothing, s.probeEngine},
		{s.askGitLab, s.probeGitLab},
		{nothing, s.suggest},
		{s.askPolicy, s.takenPolicy},
	} {
		if err := s.step(ctx, step.ask, step.probe); err != nil {
			return err
		}
	}
	return nil
}

// nothing is asked.
func nothing(context.Context) error { return nil }

// step asks until what was answered works, or the person gives up.
func (s *Setup) step(ctx context.Context, ask func(context.Context) error, probe func(context.Context) (string, error)) error {
	defer func() { s.again = false }()
	for {
		if err := ask(ctx); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, probeLimit)
		found, err := probe(limited)
		cancel()
		if err == nil {
			if found != "" {
				s.Say("ok    %s", visible.Line(found))
			}
			return s.Keep()
		}
		if ctx.Err() != nil || !s.Person.Again(err) {
			return err
		}
		s.again = true
	}
}

// ask asks for a setting, unless it is given already.
func (s *Setup) ask(ctx context.Context, into *string, question Question) error {
	if *into != "" && !s.again {
		return nil
	}
	question.Default = cmp.Or(*into, question.Default)
	answer, err := s.Person.Ask(ctx, question)
	if err == nil {
		*into = strings.TrimSpace(answer)
	}
	return err
}

// askToken asks for the file of a token, and for the token if there is no such file. A token that
// was typed and does not work is asked again.
func (s *Setup) askToken(ctx context.Context, into *string, question Question) error {
	if err := s.ask(ctx, into, question); err != nil || *into == "" {
		return err
	}
	typed := s.again && slices.Contains(s.typed, *into)
	if exists(*into) && !typed {
		return nil
	}
	text := "token for " + *into
	if typed {
		text += ", or nothing to keep the one before"
	}
	token, err := s.Person.Secret(ctx, text)
	if err != nil {
		return err
	}
	if token == "" {
		return nil // the probe says that the file is missing
	}
	s.typed = append(s.typed, *into)
	if typed {
		return overwrite(*into, []byte(token+"\n"), 0o600)
	}
	_, err = Write(*into, []byte(token+"\n"), 0o600)
	return err
}

func (s *Setup) askRepository(ctx context.Context) error {
	on := s.Settings
	if err := s.ask(ctx, &on.Repository, Question{Setting: "repository", Text: "git repository (https://, ssh:// or a path)"}); err != nil {
		return err
	}
	if on.TagPattern == "" {
		if err := s.ask(ctx, &on.Branch, Question{Setting: "branch", Text: "branch to follow", Default: "master"}); err != nil {
			return err
		}
	}
	switch {
	case strings.HasPrefix(on.Repository, "http"):
		return s.askToken(ctx, &on.GitTokenFile, Question{Setting: "git_token_file", Text: "file with a token that can read it (scope read_repository)", Default: filepath.Join(s.Folder, "git.token"), Optional: true})
	case strings.HasPrefix(on.Repository, "ssh://"), strings.Contains(on.Repository, "@") && !strings.Contains(on.Repository, "://"):
		if err := s.ask(ctx, &on.SSHKeyFile, Question{Setting: "ssh_key_file", Text: "file with the ssh key, without a passphrase", Default: filepath.Join(s.Folder, "id_ed25519")}); err != nil {
			return err
		}
		return s.ask(ctx, &on.KnownHostsFile, Question{Setting: "known_hosts_file", Text: "file with the host keys to trust", Default: filepath.Join(s.Folder, "known_hosts")})
	}
	return nil
}

// probeRepository reads the files of the followed revision.
func (s *Setup) probeRepository(ctx context.Context) (string, error) {
	source, err := gitsync.Open(s.Settings.Remote())
	if err != nil {
		return "", err
	}
	revision, err := s.selected(ctx, source)
	if err != nil {
		return "", err
	}
	// The files are read in later steps, too.
	if s.checkout, err = source.Fetch(context.WithoutCancel(ctx), revision, []string{"environments"}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s is at %s", source, revision.Ref, revision.Commit[:min(10, len(revision.Commit))]), nil
}

// selected gives the revision that a new agent would follow.
func (s *Setup) selected(ctx context.Context, source *gitsync.Repository) (gitsync.Revision, error) {
	rule := s.Settings.Rule()
	if rule.TagPattern == "" {
		return source.Select(ctx, rule)
	}
	tags, err := source.Tags(ctx, rule.TagPattern)
	if err != nil {
		return gitsync.Revision{}, err
	}
	return tags[0].Revision(), nil
}

func (s *Setup) probeEngine(ctx context.Context) (string, error) {
	found, err := s.On.Engine(ctx)
	if err != nil {
		s.Warn(err) // the agent waits for it, too
		return "", nil
	}
	return found, nil
}

func (s *Setup) askGitLab(ctx context.Context) error {
	on := s.Settings
	text, address, project := "GitLab's address, for commit statuses (- for none)", "", ""
	if remote, err := url.Parse(on.Repository); err == nil && remote.Scheme == "https" {
		address, project = "https://"+remote.Host, strings.TrimSuffix(strings.Trim(remote.Path, "/"), ".git")
	}
	if err := s.ask(ctx, &on.GitLabURL, Question{Setting: "gitlab_url", Text: text, Default: address, Optional: true}); err != nil {
		return err
	}
	if on.GitLabURL == "-" || on.GitLabURL == "" {
		on.GitLabURL, on.GitLabProject, on.GitLabTokenFile = "", "", ""
		return nil
	}
	if err := s.ask(ctx, &on.GitLabProject, Question{Setting: "gitlab_project", Text: "GitLab project: path or number", Default: project}); err != nil {
		return err
	}
	return s.askToken(ctx, &on.GitLabTokenFile, Question{Setting: "gitlab_token_file", Text: "file with the API token (scope api)", Default: filepath.Join(s.Folder, "gitlab.token")})
}

func (s *Setup) probeGitLab(ctx context.Context) (string, error) {
	if s.Settings.GitLabURL == "" {
		return "no GitLab: no commit statuses are sent", nil
	}
	return s.On.GitLab(ctx)
}

// suggest shows the least policy that allows what runs now.
func (s *Setup) suggest(ctx context.Context) (string, error) {
	if s.Settings.Policy != nil {
		return "agent.yml has a policy", nil
	}
	rules, source, err := s.On.Policy(ctx)
	if err != nil {
		s.Warn(fault.WithHint(fmt.Errorf("no policy is suggested: %w", err), "correct that, run `agent policy suggest`, and paste what it prints into agent.yml"))
		return "", nil
	}
	text, err := rules.YAML()
	if err != nil {
		return "", err
	}
	s.Say("the least policy that allows %s:\n  %s", source, visible.Lines(strings.TrimSpace(text), "  "))
	s.suggested, s.source = rules, source
	return "", nil
}

// askPolicy asks whether the suggested policy is taken. A person may read it for as long as it
// takes, so this is not a part of the probe.
func (s *Setup) askPolicy(ctx context.Context) error {
	if s.suggested == nil {
		return nil
	}
	answer, err := s.Person.Ask(ctx, Question{Text: "write this policy into agent.yml", Default: "yes", Choices: []string{"yes", "no"}})
	if err == nil && answer == "yes" {
		s.Settings.Policy = s.suggested
	}
	return err
}

func (s *Setup) takenPolicy(context.Context) (string, error) {
	if s.suggested == nil || s.Settings.Policy == nil {
		return "", nil
	}
	return "policy for " + s.source, nil
}

// hostName gives the name of this machine without its domain.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}

// preferred gives the only choice, or the one that is named, or "".
func preferred(choices []string, name string) string {
	if len(choices) == 1 {
		return choices[0]
	}
	if slices.Contains(choices, name) {
		return name
	}
	return ""
}

func hasPrefix(text string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}
