package compose

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// vaultVersions sets the SV_ variables in the names of secrets from Vault to their versions
// there, so that a new version is a new name, and gives those variables. A version that Vault
// was not asked for stays `auto`.
func (d versions) vaultVersions(v *variables) (fromVault map[string]string, err error) {
	var faults []error
	by := map[string]string{}            // the secret that sets a variable
	unnamed := map[string]*fault.Error{} // secrets without a variable, unless another file gives them one
	for _, s := range d.files.all {
		if s.only != nil {
			continue // only its services count
		}
		_, section := lookup(s.root, "secrets")
		for key, body := range pairs(section) {
			reference, place, found := d.reference(s, key, scalarAt(body, "file"))
			if _, external := lookup(body, "external"); !found || external != nil {
				continue
			}
			variable, _ := VersionIn(scalarAt(body, "name"), s.variables.lookup)
			if variable != "" {
				delete(unnamed, key)
				faults = append(faults, v.setVault(by, key, variable, reference, place))
			} else if !slices.Contains(slices.Collect(maps.Values(by)), key) {
				unnamed[key] = fault.New(s.place("secrets", key), "write a name such as "+key+".$SV_x, with a variable of its own",
					"the secret %s comes from Vault, and its name has no SV_ variable, so that a new version would have the same name", key)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(unnamed)) {
		faults = append(faults, unnamed[key])
	}
	return by, errors.Join(faults...)
}

// setVault sets a variable to the version of a secret. It refuses another version that a file,
// or another secret, gives it.
func (v *variables) setVault(by map[string]string, key, variable string, of secrets.Reference, place fault.Place) error {
	version := vaultVersion(of)
	before, set := v.lookup(variable)
	switch other := by[variable]; {
	case !set || before == version:
	case other != "":
		return fault.New(place, "give each secret an SV_ variable of its own, or refer to the same version",
			"the secrets %s and %s have the same variable %s, but different versions in Vault: %s and %s", other, key, variable, before, version)
	default:
		return fault.New(place, "remove "+variable+" from the files: the version in Vault is the version of the secret",
			"%s is set to another version than the one in Vault, %s", variable, version)
	}
	by[variable], v.values[variable] = key, version
	return nil
}

// reference returns where a secret is in Vault.
func (d versions) reference(s *source, key, template string) (secrets.Reference, fault.Place, bool) {
	file, err := Substitute(template, s.variables.lookup)
	if err == nil {
		file, err = manifests.Resolve(s.dir, file, fault.Place{})
	}
	if err != nil {
		return secrets.Reference{}, fault.Place{}, false // it is reported where the value is read
	}
	return d.set.Reference(key, file)
}

func vaultVersion(of secrets.Reference) string {
	if of.Version == 0 {
		return autoVersion
	}
	return strconv.Itoa(of.Version)
}

// warnUnread warns of a value that was not read from Vault, as for a plan.
func (c *converter) warnUnread(one object, of secrets.Reference, place fault.Place) {
	if of.Version == 0 {
		c.warnings.add(place, "", "the secret %s was not read from Vault, and its newest version is not known: a sync will ask for it", one.key)
		return
	}
	c.warnings.add(place, "", "the secret %s was not read from Vault: version %d of %s is compared by its number only", one.key, of.Version, of.Path)
}
