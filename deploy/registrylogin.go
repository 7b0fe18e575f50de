package deploy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config/configfile"
	logins "github.com/docker/cli/cli/config/credentials"
	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/docker/docker/api/types/registry"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/privatefile"
)

// ErrLogin is the cause of errors about registry credentials that cannot be read. The
// same call may succeed when the file or its helper is repaired.
var ErrLogin = fault.WithCode(errors.New("the registry credentials cannot be read"), fault.CodeRegistry)

// hubKey is the name under which docker's config.json has the login of docker.io.
const hubKey = "https://index.docker.io/v1/"

// UseLogins sets the file with the registry credentials, in the format of docker's
// config.json, that are sent to the engine. The file is read again for each use. Only
// the credential helpers that it names are called; the home directory and environment
// variables are not read. UseLogins must be called before the engine is used; "" means
// no credentials.
func (e *Engine) UseLogins(file string) { e.registries.loginFile = file }

// keyring is the content of the credentials file at the time it was read.
type keyring struct {
	file *configfile.ConfigFile // nil means no credentials

	mu    sync.Mutex
	known map[string]login // by registry; a helper is called once for each
}

// login holds the credentials of one registry. The zero value holds none.
type login struct {
	credentials registry.AuthConfig
	header      string // the credentials as the engine takes them
}

// readLogins reads the file with the registry credentials.
func (r *registries) readLogins() (*keyring, error) {
	ring := &keyring{known: map[string]login{}}
	if r.loginFile == "" {
		return ring, nil
	}
	data, err := privatefile.Read(r.loginFile, "the file with the registry credentials", ErrLogin)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	ring.file = configfile.New(r.loginFile)
	if err := ring.file.LoadFromReader(bytes.NewReader(data)); err != nil {
		return nil, malformedLogins(r.loginFile, data, err)
	}
	return ring, nil
}

// loginFault is a fault about the credentials file. It never quotes the file.
func loginFault(path, hint, format string, args ...any) *fault.Error {
	return &fault.Error{Place: fault.Place{File: path}, Message: fmt.Sprintf(format, args...), Hint: hint, Err: ErrLogin}
}

// malformedLogins gives the line and reason of a parser's error. It does not use the
// parser's message, which may quote the file.
func malformedLogins(path string, data []byte, err error) error {
	const hint = "write it as `docker --config DIR login REGISTRY` writes DIR/config.json"
	offset, what := int64(-1), "an auth under auths is not user:password in base64"
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset, what = syntax.Offset, "not valid JSON"
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		offset, what = int64(len(data)), "not valid JSON: it ends too early"
	} else if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset, what = wrongType.Offset, "a value is of the wrong type"
	}
	found := loginFault(path, hint, "%s", what)
	if offset >= 0 && offset <= int64(len(data)) {
		found.Place.Line = 1 + bytes.Count(data[:offset], []byte("\n"))
	}
	return found
}

// RegistryOf gives the host of an image's registry; "" if the image name is not valid.
func RegistryOf(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}

// of gives the login of a registry, or the zero login if there is none.
func (k *keyring) of(ctx context.Context, host string) (login, error) {
	if k.file == nil || host == "" {
		return login{}, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if known, ok := k.known[host]; ok {
		return known, nil
	}
	key := host
	if host == "docker.io" || host == "index.docker.io" {
		key = hubKey
	}
	found, err := k.search(ctx, key)
	if err != nil {
		return login{}, err
	}
	made := login{}
	if found != (registry.AuthConfig{ServerAddress: key}) {
		made.credentials = found
		if made.header, err = registry.EncodeAuthConfig(found); err != nil {
			return login{}, fmt.Errorf("encode a login: %w", err)
		}
	}
	k.known[host] = made
	return made, nil
}

// search looks in the file, or calls the helper that the file names for the registry or
// for all registries.
func (k *keyring) search(ctx context.Context, key string) (registry.AuthConfig, error) {
	stored, err := logins.NewFileStore(k.file).Get(key)
	if err != nil {
		return registry.AuthConfig{}, loginFault(k.file.Filename, "", "the login for %s cannot be read", key)
	}
	found := registry.AuthConfig{
		Username: stored.Username, Password: stored.Password, ServerAddress: key,
		IdentityToken: stored.IdentityToken, RegistryToken: stored.RegistryToken,
	}
	helper, ok := k.file.CredentialHelpers[key]
	if !ok {
		helper = k.file.CredentialsStore
	}
	if helper == "" {
		return found, nil
	}
	return k.ask(ctx, helper, key)
}

// tokenUser is the user name with which a helper gives an identity token.
const tokenUser = "<token>"

// ask runs a credential helper. Its output is not shown, because it may be a secret.
func (k *keyring) ask(ctx context.Context, helper, key string) (registry.AuthConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	path, program := k.file.Filename, "docker-credential-"+helper
	if _, err := exec.LookPath(program); err != nil {
		return registry.AuthConfig{}, loginFault(path, "install it, or remove it from the file", "the credential helper %s is not installed", program)
	}
	found, err := client.Get(func(args ...string) client.Program {
		return &helperRun{exec.CommandContext(ctx, program, args...)} //nolint:gosec // the file that only root may write names it
	}, key)
	switch {
	case credentials.IsErrCredentialsNotFound(err):
		return registry.AuthConfig{ServerAddress: key}, nil
	case err != nil:
		return registry.AuthConfig{}, loginFault(path, "run it by hand: echo "+key+" | "+program+" get", "the credential helper %s gives no login for %s", program, key)
	}
	if found.Username == tokenUser {
		return registry.AuthConfig{IdentityToken: found.Secret, ServerAddress: key}, nil
	}
	return registry.AuthConfig{Username: found.Username, Password: found.Secret, ServerAddress: key}, nil
}

// helperRun is one run of a credential helper.
type helperRun struct{ *exec.Cmd }

// Input gives the run its standard input.
func (h *helperRun) Input(in io.Reader) { h.Stdin = in }

// withhold replaces an error that contains a secret of the login.
func (l login) withhold(err error) error {
	secret := []string{l.header, l.credentials.Password, l.credentials.IdentityToken, l.credentials.RegistryToken}
	if l.credentials.Password != "" {
		secret = append(secret, base64.StdEncoding.EncodeToString([]byte(l.credentials.Username+":"+l.credentials.Password)))
	}
	for _, one := range secret {
		err = withhold(err, []byte(one))
	}
	return err
}
