package stackfiles

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/bounded"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// leftovers are files that deployment.sh wrote beside its own. They are not read.
var leftovers = []string{
	".project.tmp.env", ".project.client.tmp.env", ".project.admin.tmp.env", ".project.i_client.tmp.env", ".project.renderer.tmp.env",
}

// warnOfLeftovers warns of the settings that deployment.sh has left in the folder.
func (r *reading) warnOfLeftovers() {
	for _, name := range leftovers {
		if r.exists(name) {
			r.warn(path.Join(r.names.dir, name), "rm .project*.tmp.env", "the file is from deployment.sh, has project settings in plaintext, and is not read")
			return
		}
	}
}

// plain notes that -s is not encrypted, and which of its values are secrets.
func (r *reading) plain(file string, values map[string]manifests.Variable) {
	if file == "" {
		return
	}
	if r.isFile(r.flags.Secrets) {
		r.warn(file, "encrypt it: sops encrypt --in-place "+r.flags.Secrets, "the file of -s is not encrypted")
	}
	texts := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if value := values[name]; value.Value != "" {
			texts[name] = value.Value
			r.warnings = append(r.warnings, fault.New(value.Place, "set it in a file of -N if it is not a secret",
				"%s is not a version: it is the value of the secret of that name, and not a variable of the compose files", name))
		}
	}
	if data, err := json.Marshal(texts); err == nil && len(texts) > 0 { // texts can always be marshalled
		r.overrides = []secrets.File{{Path: file, Data: data, Keyed: true}}
	}
}

func (r *reading) warn(file, hint, format string, args ...any) {
	r.warnings = append(r.warnings, fault.New(fault.Place{File: file}, hint, format, args...))
}

// decrypt opens -s, and the files that the secrets of the compose files name. Their names
// are known once the versions in -s are.
func (r *reading) decrypt() error {
	if err := r.openFiles(r.overrides); err != nil {
		return err
	}
	files := slices.Clone(r.overrides)
	defer func() {
		for _, file := range files {
			clear(file.Data) // the set has copies
		}
	}()
	inspected, _ := compose.Inspect(r.node, r.set, true) // the caller renders again, and has the faults
	read := map[string]bool{}
	var faults []error
	for _, secret := range inspected.Secrets {
		for _, name := range []string{secret.File + ".enc", secret.File} { // Set.Lookup prefers the first
			if secret.File == "" || read[name] {
				continue
			}
			read[name] = true
			file, err := r.secretFile(name)
			if faults = append(faults, err); file != nil {
				files = append(files, *file)
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if err := r.openFiles(files); err != nil {
		return err
	}
	if all := r.set.References(); len(all) > 0 {
		place := fault.Place{File: strings.TrimPrefix(r.absolute(r.flags.Secrets), "/")}
		return fault.New(place, "write the value itself, or deploy the stack by its agent", "%s is a secret in Vault, which only an agent reads", all[0])
	}
	return nil
}

// secretFile reads the file of a secret; nil if it does not exist.
func (r *reading) secretFile(name string) (*secrets.File, error) {
	content, err := readFile("/"+name, r.options.Limits.FileBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // the renderer reports a secret without a value
	case err != nil:
		return nil, fault.New(fault.Place{File: name}, "check that it is a readable regular file", "read the file of a secret: %w", err)
	case len(content) == 0:
		return nil, fault.New(fault.Place{File: name}, "write the secret into it", "the file of a secret is empty, and Swarm does not accept empty secrets")
	}
	return &secrets.File{Path: name, Data: content}, nil
}

// openFiles opens the files of secrets in memory.
func (r *reading) openFiles(files []secrets.File) error {
	open := secrets.Inspect
	if r.options.Keys != nil {
		open = r.options.Keys.Open
	}
	set, err := open(files, secrets.Options{AllowPlaintext: true})
	if set != nil {
		r.set.Wipe()
		r.set = set
	}
	return err
}

// readFile reads a file to its end, or as far as a limit allows.
func readFile(name string, most limits.Bytes) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fault.WithoutPath(err)
	}
	defer file.Close() //nolint:errcheck // only read from
	content, err := bounded.ReadAll(file, most)
	return content, fault.WithoutPath(err)
}
