// Package desired gives what a node should run: it takes a tree of files and the keys,
// and gives the node's config.yml and settings, its secrets in memory, and its rendered
// stack. The same files and keys give the same result, and nothing is written down.
package desired

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"sync"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Options say which node is meant, and what this machine adds to the files.
type Options struct {
	Environment, Node string
	Stack             string // of the node; "": its only one (manifests.LoadStack)

	Keys     func() (*secrets.Keyring, error) // called once for each Decrypt; nil, or a nil keyring: nothing is decrypted
	Opened   *secrets.Memory                  // has the stacks of a node share a decryption; nil: none is shared
	CheckDir string                           // the folder of the files that config.yml's checks name
	Bounds   Bounds                           // where these files and the secrets may be sent
	Vault    Vault                            // where references to Vault are read; zero: nowhere

	Sealed bool              // renders without keys, for looking only: encrypted versions count as 0
	Judges *manifests.Judges // of the commit that is loaded; nil: its config.yml is not judged
	Limits limits.Limits     // zero: those that the tree of files carries

	Render func(*manifests.Node, *secrets.Set, compose.Options) (*compose.Stack, error) // nil: compose.Render
}

// State is what a node should run, as far as it is known.
type State struct {
	Node    *manifests.Node
	Secrets *secrets.Set // nil until Decrypt

	// Readings are the versions that Decrypt read from Vault, by path.
	Readings []record.VaultRead

	options Options
	bounded func() error // what Bounds refuses, judged once
	readers readers      // of Secrets
}

// Load reads the node's config.yml, settings and list of files.
func Load(ctx context.Context, fsys fs.FS, options Options) (*State, error) {
	if options.Limits != (limits.Limits{}) {
		fsys = limits.On(fsys, options.Limits)
	}
	node, err := apart.Do(ctx, func() (*manifests.Node, error) {
		if judges := options.Judges; judges != nil {
			return judges.LoadStack(fsys, options.Environment, options.Stack)
		}
		return manifests.LoadStack(fsys, options.Environment, options.Node, options.Stack)
	}, nil)
	if err != nil {
		return nil, err
	}
	judge := func() error { return options.Bounds.judge(node, false) }
	return &State{Node: node, options: options, bounded: sync.OnceValue(judge)}, nil
}

// Bounded refuses what config.yml asks of the node and the node does not allow: a connection
// to a host, or a credential that a host must not get. No credential is read before.
func (s *State) Bounded() error { return s.bounded() }

// Open loads a node and decrypts its secrets. Wipe must be called after their use.
func Open(ctx context.Context, fsys fs.FS, options Options) (*State, error) {
	state, err := Load(ctx, fsys, options)
	if err != nil {
		return nil, err
	}
	if err := state.Decrypt(ctx); err != nil {
		return nil, err
	}
	return state, nil
}

// Render gives the stack of engine specs of a node, from a tree of files: the way of
// those who need nothing else of its State.
func Render(ctx context.Context, fsys fs.FS, options Options) (*compose.Stack, error) {
	state, err := Open(ctx, fsys, options)
	if err != nil {
		return nil, err
	}
	return state.Render(ctx)
}

// Decrypt opens the node's SOPS files in memory. Without a keyring it reads only what
// they say without one. A required secret that is missing is an error.
func (s *State) Decrypt(ctx context.Context) error {
	node, options := s.Node, s.options
	set, err := apart.Do(ctx, func() (*secrets.Set, error) { return decrypt(node, options) }, (*secrets.Set).Wipe)
	if err != nil {
		return err
	}
	if err := s.fromVault(ctx, set); err != nil {
		set.Wipe()
		return err
	}
	s.Secrets = set
	return nil
}

func decrypt(node *manifests.Node, options Options) (*secrets.Set, error) {
	files, err := ReadSecretFiles(node)
	if err != nil {
		return nil, err
	}
	set, err := open(files, secretOptions(node), options)
	if err != nil && fault.CodeOf(err) == "" {
		err = fault.WithCode(err, fault.CodeSecrets)
	}
	if err != nil {
		return nil, err
	}
	if err := checkSecrets(node, set); err != nil {
		set.Wipe()
		return nil, err
	}
	return set, nil
}

// open opens SOPS files with the keys of the options, or without any.
func open(files []secrets.File, of secrets.Options, options Options) (*secrets.Set, error) {
	var keys *secrets.Keyring
	if options.Keys != nil {
		var err error
		if keys, err = options.Keys(); err != nil {
			return nil, err
		}
	}
	if keys == nil {
		return secrets.Seal(files, of)
	}
	return options.Opened.Open(keys, files, of)
}

// secretOptions say how the SOPS files of a node are read.
func secretOptions(node *manifests.Node) secrets.Options {
	return secrets.Options{AllowPlaintext: node.Config.AllowPlaintextSecrets, Folders: node.Folders()}
}

// Inspect renders a node without keys, as far as that is possible, and says what is wrong with its
// files.
func Inspect(node *manifests.Node) (*compose.Stack, error) {
	files, unread := ReadSecretFiles(node)
	set, wrong := secrets.Inspect(files, secretOptions(node))
	defer set.Wipe()
	stack, invalid := compose.Inspect(node, set, true)
	return stack, errors.Join(unread, wrong, invalid)
}

// Render gives the stack of engine specs. Its secrets are readable until Wipe.
func (s *State) Render(ctx context.Context) (*compose.Stack, error) {
	render, node, set := s.options.Render, s.Node, s.Secrets
	if render == nil {
		render = compose.Render
	}
	options := compose.Options{AllowLive: true, AllowSealed: s.options.Sealed}
	s.readers.begin()
	return apart.Do(ctx, func() (*compose.Stack, error) {
		defer s.readers.end()
		return render(node, set, options)
	}, nil)
}

// Wipe forgets the values of the secrets, once a Render that was abandoned has ended: it does
// not wait for that. A nil State has none.
func (s *State) Wipe() {
	if s != nil && s.Secrets != nil {
		s.readers.last(s.Secrets.Wipe)
	}
}

// readers counts who reads the secrets.
type readers struct {
	mu    sync.Mutex
	count int
	then  func() // after the last one has ended; nil for nothing
}

func (r *readers) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
}

func (r *readers) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count--; r.count == 0 && r.then != nil {
		r.then()
	}
}

// last calls a function now if there are no readers, else after the last one.
func (r *readers) last(then func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count > 0 {
		r.then = then
		return
	}
	then()
}

// ReadSecretFiles reads the node's SOPS files as git has them. Beside an error it gives
// those that it could read.
func ReadSecretFiles(node *manifests.Node) ([]secrets.File, error) {
	return readSecretFiles(node, node.SecretFiles)
}

func readSecretFiles(node *manifests.Node, paths []string) ([]secrets.File, error) {
	files := make([]secrets.File, 0, len(paths))
	var faults []error
	for _, path := range paths {
		data, err := fs.ReadFile(node.FS, path)
		if err != nil {
			faults = append(faults, fault.New(fault.Place{File: path}, "", "read secret file: %w", err))
			continue
		}
		files = append(files, secrets.File{Path: path, Data: data})
	}
	return files, errors.Join(faults...)
}

// Webhook gives the URL of the notifications' webhook from the node's secrets. The
// Value is a copy that outlives them.
func (s *State) Webhook() (secrets.Value, error) {
	node, set := s.Node, s.Secrets
	name := node.Config.Notifications.Slack.WebhookURLVariable
	if name == "" {
		return secrets.Value{}, fault.New(node.Config.Place("notifications.slack"),
			"set webhook_url_variable to a key of the node's secrets.enc, or slack_webhook_file in the agent's settings", "it is not said where the webhook's URL is")
	}
	value, found := set.Lookup(name, "")
	if found && value.Known() {
		if err := s.options.Bounds.Webhook(string(value.Reveal()), node.Config.Place("notifications.slack")); err != nil {
			return secrets.Value{}, err
		}
		return secrets.NewValue(bytes.Clone(value.Reveal())), nil
	}
	if variable, plain := node.Variables[name]; plain {
		return secrets.Value{}, fault.New(variable.Place, "make a new webhook, and put its URL into secrets.enc with sops: this one has been seen",
			"%s, the webhook's URL, is a secret that stands here in plaintext: it is not used", name)
	}
	if err := s.unread(name, ""); err != nil {
		return secrets.Value{}, err
	}
	if found {
		return secrets.Value{}, fault.New(fault.Place{}, "set age_key_files or pgp_key_files", "the webhook's URL cannot be read without a key")
	}
	return secrets.Value{}, set.Missing(name, "")
}
