package manifests

import (
	"maps"
	"path"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

const overrideEnv = "secrets.override.env"

// variables reads node.env, or the files that config.yml names, over what config.yml gives,
// then the plain secrets.override.env over it.
func (l *loader) variables() {
	l.given()
	l.provided = maps.Clone(l.node.Variables)
	l.node.VariableFiles = l.nodeFiles()
	for _, file := range l.node.VariableFiles {
		if content, found := l.read(file); found {
			maps.Copy(l.node.Variables, shellVariables(l, file, content))
		} else if len(l.faults) == 0 && file == l.node.VariableFiles[len(l.node.VariableFiles)-1] {
			l.warn(fault.Place{File: file}, "add it with at least TAG=<release>", "the node has no node.env, so it sets no variables")
		}
	}
	set, ok := l.node.Variables[settingsVariable]
	if ok && path.Clean(set.Value) != mergedSettings {
		l.faults.add(set.Place, "remove the line", "the agent sets %s to %s", settingsVariable, mergedSettings)
	}
	if !ok {
		set.Place = fault.Place{File: path.Join(l.node.Dir, mergedSettings)}
	}
	l.node.Variables[settingsVariable] = Variable{Value: mergedSettings, Place: set.Place}
	for _, dir := range l.node.Folders() {
		l.overrides(path.Join(dir, overrideEnv))
	}
}

func shellVariables(l *loader, file string, content []byte) map[string]Variable {
	reader := &shellReader{file: file, limits: l.repository.Limits(), lenient: l.node.lenient(), outer: l.node.Variables}
	reader.read(content)
	l.faults = append(l.faults, reader.faults...)
	l.node.Warnings = append(l.node.Warnings, reader.warnings...)
	return reader.assigned
}

// Assignments returns what a past node.env or secrets.override.env sets over outer,
// by name. It skips lines that it cannot read. From secrets.override.env it returns
// only versions, by their SV_ names.
func Assignments(file string, content []byte, outer map[string]Variable) map[string]Variable {
	reader := &shellReader{file: file, lenient: true, outer: outer}
	reader.read(content)
	if path.Base(file) != overrideEnv {
		return reader.assigned
	}
	versions := map[string]Variable{}
	for key, variable := range reader.assigned {
		if name := versionVariable(key); name != "" {
			versions[name] = variable
		}
	}
	return versions
}

// overrides reads secret versions from a plain secrets.override.env. Other values
// are secrets: they need allow_plaintext_secrets and are not kept.
func (l *loader) overrides(file string) {
	content, found := l.read(file)
	if !found {
		return
	}
	assigned := shellVariables(l, file, content)
	if mac, encrypted := assigned["sops_mac"]; encrypted {
		l.faults.add(mac.Place, "rename it to secrets.override.enc", "the file is encrypted with sops, but its name is for a plain file")
		return
	}
	versions := map[string]Variable{}
	plaintext := false
	for _, key := range slices.Sorted(maps.Keys(assigned)) {
		name, v := versionVariable(key), assigned[key]
		before, twice := versions[name]
		switch {
		case name == "":
			plaintext = true
			l.plaintext(key, v.Place)
		case twice && before.Value != v.Value:
			l.faults.add(v.Place, "keep one of the two", "%s differs from the version on line %d", key, before.Place.Line)
		default:
			versions[name] = v
		}
	}
	maps.Copy(l.node.Variables, versions)
	if plaintext && l.node.Config.AllowPlaintextSecrets {
		l.node.SecretFiles = append(l.node.SecretFiles, file)
	}
}

func (l *loader) plaintext(key string, place fault.Place) {
	const encrypt = "move it to secrets.override.enc with sops"
	if l.node.Config.AllowPlaintextSecrets {
		l.warn(place, encrypt, "%s is a secret in plaintext", key)
		return
	}
	l.faults.add(place, encrypt+": this file may contain only SV_<name> and <name>_VERSION", "%s is a secret in plaintext", key)
}

// versionVariable returns the SV_ variable that a key of an override file sets, or "".
// x_VERSION, which the old rotation script wrote, sets SV_x.
func versionVariable(key string) string {
	if strings.HasPrefix(key, "SV_") {
		return key
	}
	if name, ok := strings.CutSuffix(key, "_VERSION"); ok && name != "" {
		return "SV_" + name
	}
	return ""
}

func (l *loader) warn(place fault.Place, hint, format string, args ...any) {
	if len(l.node.Warnings) < maxFaults {
		l.node.Warnings = append(l.node.Warnings, fault.New(place, hint, format, args...))
	}
}

// settings merges the project settings and makes the derived files. The base of all
// nodes is common/project.env, or the template filled from it, if there is one.
func (l *loader) settings() {
	entry := l.chosen.entry
	file := path.Join("environments", l.node.Environment, "common", "project.env")
	base, some := settingsIn(l, file)
	if template, found := l.read(templateFile); found {
		base, some = fillTemplate(l, template, base, file), true
	}
	layers := [][]setting{base}
	project, own := "project.env", "project_"+l.node.Name+".env"
	files := []string{path.Join(l.node.Home, project), path.Join(l.node.Home, own)}
	if len(entry.ProjectFiles) > 0 {
		files = l.named(l.node.Home, entry.ProjectFiles, l.chosen.key+".project_files")
	}
	files = append(files, namedByStack(l, project, own, entry.ProjectFiles)...)
	for _, file := range files {
		layer, found := settingsIn(l, file)
		layers, some = append(layers, layer), some || found
	}
	if !some {
		l.warn(fault.Place{File: l.node.Home}, "add common/project.env or project.env", "the node has no project settings")
	}
	l.project = merge(layers...)
	l.repository.derived = deriveFiles(l, l.project)
	for _, name := range l.names[l.node.Dir] {
		if l.repository.derived[name] != nil {
			l.faults.add(fault.Place{File: path.Join(l.node.Dir, name)}, "remove the file from the repository",
				"the agent generates the file %s from the project settings", name)
		}
	}
}

// settingsIn reads an env file, and reports whether it exists.
func settingsIn(l *loader, file string) ([]setting, bool) {
	content, found := l.read(file)
	return l.readSettings(file, lines(content)), found
}
