package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/oneline"
)

// Edits are new contents for one SOPS file.
type Edits struct {
	Key      string            // of the new value, in a file of keys; it must exist. "" means the whole file
	Value    Value             // an unknown value means no change
	Versions map[string]string // by SV_ name, of a file of keys; changed in their spelling, or added
}

func (e Edits) whole() bool { return e.Key == "" && e.Value.Known() }

// Edit returns the file with the edits, encrypted with the file's data key. All other
// lines stay unchanged, except for the MAC and the time of the change. If the file's
// layout does not allow this, Edit writes the file as SOPS does; unchanged values then
// keep their ciphertext. Edit opens the result and checks that it has the edits and no
// other changes. It refuses to write a value that the file's SOPS settings leave in plaintext.
func (k *Keyring) Edit(file File, edits Edits) ([]byte, error) {
	before, err := parse(file)
	if err != nil {
		return nil, err
	}
	if before == nil {
		return nil, notEncrypted(file.Path)
	}
	after, err := parse(file)
	if err != nil {
		return nil, err
	}
	key, err := k.dataKey(after)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	cipher := aes.NewCipher() // it encrypts an unchanged value to the same ciphertext
	if err := after.decryptWith(key, cipher); err != nil {
		return nil, err
	}
	if err := after.apply(edits); err != nil {
		return nil, err
	}
	want := leaves(after.tree.Branches)
	if err := errors.Join(after.encrypt(key, cipher), refusePlaintext(after, edits, want)); err != nil {
		return nil, err
	}
	if edits.whole() && after.format != formatBinary {
		before = nil // the new content has different comments
	}
	return after.render(before, want, key)
}

// Holds reports whether a file has what Edit writes for a new whole content. SOPS lays out YAML, JSON, INI
// and dotenv in its own way, so it compares their keys and values.
func (k *Keyring) Holds(file File, content Value) (bool, error) {
	held, err := parse(file)
	if err != nil {
		return false, err
	}
	if held == nil {
		return false, notEncrypted(file.Path)
	}
	key, err := k.dataKey(held)
	if err != nil {
		return false, err
	}
	defer clear(key)
	if err := held.decryptWith(key, aes.NewCipher()); err != nil {
		return false, err
	}
	present := leaves(held.tree.Branches)
	if held.applyContent(content) != nil { // it is not of the file's format
		return false, nil
	}
	return slices.Equal(leaves(held.tree.Branches), present), nil
}

func (d *document) encrypt(key []byte, cipher aes.Cipher) error {
	mac, err := d.tree.Encrypt(key, cipher)
	if err != nil { // the error may quote the content
		return fault.New(fault.Place{File: d.path}, hintDamaged, "cannot encrypt the new content with the file's SOPS settings")
	}
	d.tree.Metadata.LastModified = time.Now().UTC()
	d.tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, key, d.tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil {
		return fault.New(fault.Place{File: d.path}, "", "cannot encrypt the MAC")
	}
	return nil
}

// refusePlaintext refuses a new value that the encrypted tree, with those leaves before, has in plaintext. Of a
// whole file, sops can leave a part in plaintext.
func refusePlaintext(d *document, edits Edits, before []leaf) error {
	const hint = "encrypt the file anew with sops, without the setting that leaves it out, such as unencrypted_regex or encrypted_regex"
	switch {
	case !edits.Value.Known():
	case edits.whole() || d.format == formatBinary:
		if slices.Equal(leaves(d.tree.Branches), before) {
			return fault.New(fault.Place{File: d.path}, hint, "the file's SOPS settings leave the new value in plaintext")
		}
	default:
		for _, item := range d.items(func(name string) bool { return name == edits.Key }) {
			if item.Value == string(edits.Value.Reveal()) {
				return fault.New(fault.Place{File: d.path, Line: keyLine(d.data, edits.Key)}, hint,
					"the file's SOPS settings leave the new value of %q in plaintext", oneline.Cut(edits.Key, 80))
			}
		}
	}
	return nil
}

// render writes the encrypted tree into the lines of the file before, or as SOPS does.
// It accepts a result only if the result has the wanted leaves.
func (d *document) render(before *document, want []leaf, key []byte) ([]byte, error) {
	if spliced, ok := d.splice(before); ok && d.readsBack(spliced, want, key) {
		return spliced, nil
	}
	emitted, err := d.store.EmitEncryptedFile(d.tree)
	if err == nil && d.readsBack(emitted, want, key) {
		return emitted, nil
	}
	return nil, fault.New(fault.Place{File: d.path}, hintBinary, "SOPS %s cannot contain the new value", d.format)
}

func (d *document) readsBack(data []byte, want []leaf, key []byte) bool {
	again, err := parse(File{Path: d.path, Data: data})
	if err != nil || again == nil || again.format != d.format {
		return false
	}
	if again.decryptWith(slices.Clone(key), aes.NewCipher()) != nil {
		return false
	}
	return slices.Equal(leaves(again.tree.Branches), want)
}

// apply makes the edits in the decrypted tree.
func (d *document) apply(edits Edits) error {
	switch {
	case edits.whole():
		return d.applyContent(edits.Value)
	case !utf8.Valid(edits.Value.Reveal()):
		return fault.New(fault.Place{File: d.path, Line: keyLine(d.data, edits.Key)}, hintBinary,
			"the new value of %q is not UTF-8 text, which a file of keys requires", oneline.Cut(edits.Key, 80))
	case d.format == formatBinary:
		return d.applyText(edits)
	case len(d.tree.Branches) != 1:
		return d.severalDocuments()
	}
	if edits.Value.Known() {
		items := d.items(func(name string) bool { return name == edits.Key })
		if len(items) != 1 {
			return d.noKey(edits.Key)
		}
		items[0].Value = string(edits.Value.Reveal())
	}
	for _, name := range slices.Sorted(maps.Keys(edits.Versions)) {
		d.applyVersion(name, edits.Versions[name])
	}
	return nil
}

func (d *document) noKey(key string) error {
	return fault.New(fault.Place{File: d.path}, "add it with sops", "the file does not have the key %q", oneline.Cut(key, 80))
}

// applyContent replaces the content of the file.
func (d *document) applyContent(content Value) error {
	branches, err := d.store.LoadPlainFile(content.Reveal())
	if err != nil || len(branches) == 0 { // the error may quote the content
		return fault.New(fault.Place{File: d.path}, "pass the whole new file, or encrypt the file again as binary: sops -e --input-type binary",
			"the file is SOPS %s, but the new value is not", d.format)
	}
	d.tree.Branches = branches
	return nil
}

// applyText edits the text in a binary file of keys.
func (d *document) applyText(edits Edits) error {
	content, err := d.content()
	if err != nil {
		return err
	}
	defer clear(content)
	text := bytes.Clone(content)
	if edits.Value.Known() {
		if text, err = setText(text, edits.Key, string(edits.Value.Reveal()), false); err != nil {
			return d.textFault(edits.Key, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(edits.Versions)) {
		keys, err := d.versionKeys(text, name)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if text, err = setText(text, key, edits.Versions[name], true); err != nil {
				return d.textFault(key, err)
			}
		}
	}
	return d.applyContent(NewValue(text))
}

// versionKeys returns the spellings of a version in a text, or the one to add.
func (d *document) versionKeys(text []byte, name string) ([]string, error) {
	entries, err := plainEntries(d.path, text, entryOpen)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, one := range entries {
		if version, ok := versionName(one.key); ok && version == name {
			keys = append(keys, one.key)
		}
	}
	if len(keys) == 0 {
		keys = []string{name}
	}
	return keys, nil
}

func (d *document) textFault(key string, err error) error {
	if errors.Is(err, errNoKey) {
		return d.noKey(key)
	}
	return fault.New(fault.Place{File: d.path}, hintBinary, "the decrypted text cannot contain the new value of %q", oneline.Cut(key, 80))
}

// items returns the items of a file of keys whose key is wanted.
func (d *document) items(wanted func(key string) bool) []*sops.TreeItem {
	var found []*sops.TreeItem
	for _, section := range d.sections() {
		for i := range section.branch {
			if key, ok := section.branch[i].Key.(string); ok && wanted(strings.TrimPrefix(key, "export ")) {
				found = append(found, &section.branch[i])
			}
		}
	}
	return found
}

// applyVersion sets a version in each existing spelling, or adds it after the last
// version with the same type.
func (d *document) applyVersion(name, version string) {
	items := d.items(func(key string) bool { found, ok := versionName(key); return ok && found == name })
	for _, item := range items {
		item.Value = typed(version, item.Value)
	}
	if len(items) == 0 {
		d.addVersion(name, version)
	}
}

func (d *document) addVersion(name, version string) {
	sections := d.sections()
	chosen, at := max(len(sections)-1, 0), -1
	for i, section := range sections {
		for j, item := range section.branch {
			if isVersion(item) {
				chosen, at = i, j
			}
		}
	}
	branch := sections[chosen].branch
	item := sops.TreeItem{Key: name, Value: version}
	if at < 0 {
		branch = append(slices.Clone(branch), item)
	} else {
		item.Value = typed(version, branch[at].Value)
		branch = slices.Insert(slices.Clone(branch), at+1, item)
	}
	if d.format == formatINI {
		d.tree.Branches[0][chosen].Value = branch
	} else {
		d.tree.Branches[0] = branch
	}
}

func isVersion(item sops.TreeItem) bool {
	key, ok := item.Key.(string)
	if !ok {
		return false
	}
	_, ok = versionName(strings.TrimPrefix(key, "export "))
	return ok
}

// typed returns a version as a number if like is a number, so that YAML and JSON keep
// the type.
func typed(version string, like any) any {
	if _, ok := like.(int); ok {
		if number, err := strconv.Atoi(version); err == nil && strconv.Itoa(number) == version {
			return number
		}
	}
	return version
}

// leaf is one scalar of a tree and its path.
type leaf struct {
	path  string
	key   string // the last part of the path
	value any
}

// leaves lists the scalars of a tree in order, without comments.
func leaves(branches sops.TreeBranches) []leaf {
	var all []leaf
	var walk func(path, key string, value any)
	walk = func(path, key string, value any) {
		switch value := value.(type) {
		case sops.TreeBranch:
			for _, item := range value {
				if name, ok := item.Key.(string); ok {
					walk(path+"\x00"+name, name, item.Value)
				}
			}
		case []any:
			for i, item := range value {
				if _, comment := item.(sops.Comment); !comment {
					walk(fmt.Sprintf("%s\x00%d", path, i), key, item)
				}
			}
		case time.Time:
			all = append(all, leaf{path, key, value.Format(time.RFC3339Nano)})
		case []byte:
			all = append(all, leaf{path, key, string(value)})
		case sops.Comment:
		default:
			all = append(all, leaf{path, key, value})
		}
	}
	for i, branch := range branches {
		walk(strconv.Itoa(i), "", branch)
	}
	return all
}
