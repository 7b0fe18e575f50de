package deploy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
)

// shortly renders an element of a list for people.
func shortly(element any) string {
	switch e := element.(type) {
	case string:
		return e
	case *swarm.SecretReference:
		return e.SecretName
	case *swarm.ConfigReference:
		return e.ConfigName
	case swarm.NetworkAttachmentConfig:
		var notes []string
		for _, alias := range e.Aliases {
			notes = append(notes, "alias "+alias)
		}
		return withOptions(e.Target, e.DriverOpts, notes)
	case swarm.PortConfig: // the key of the list contains its numbers
		if e.Name == "" {
			return string(e.PublishMode)
		}
		return string(e.PublishMode) + " (name " + e.Name + ")"
	case mount.Mount:
		return mountText(e)
	case *container.Ulimit:
		return fmt.Sprintf("%d:%d", e.Soft, e.Hard)
	case swarm.GenericResource:
		if e.DiscreteResourceSpec != nil {
			return strconv.FormatInt(e.DiscreteResourceSpec.Value, 10)
		}
	case swarm.PlacementPreference:
		if e.Spread != nil {
			return "spread=" + e.Spread.SpreadDescriptor
		}
	case swarm.Platform:
		return e.OS + "/" + e.Architecture
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // people read &&, not \u0026
	if err := encoder.Encode(element); err != nil {
		return fmt.Sprint(element)
	}
	return strings.TrimSpace(text.String())
}

// withOptions gives a text with notes and options in parentheses.
func withOptions(text string, options map[string]string, notes []string) string {
	for _, name := range keys(options) {
		notes = append(notes, name+"="+options[name])
	}
	if len(notes) == 0 {
		return text
	}
	return text + " (" + strings.Join(notes, ", ") + ")"
}

// mountText renders a mount without its target, which is the key of the list. `agent
// render -o specs` shows the options that it leaves out.
func mountText(m mount.Mount) string {
	var notes []string
	note := func(applies bool, text string) {
		if applies {
			notes = append(notes, text)
		}
	}
	volume := cmp.Or(m.VolumeOptions, &mount.VolumeOptions{})
	driver := cmp.Or(volume.DriverConfig, &mount.Driver{})
	bind := cmp.Or(m.BindOptions, &mount.BindOptions{})
	tmpfs := cmp.Or(m.TmpfsOptions, &mount.TmpfsOptions{})
	note(m.ReadOnly, "read-only")
	note(volume.NoCopy, "nocopy")
	note(volume.Subpath != "", "subpath "+volume.Subpath)
	note(driver.Name != "", "driver "+driver.Name)
	note(bind.Propagation != "", "propagation "+string(bind.Propagation))
	note(tmpfs.SizeBytes > 0, "size "+Size(tmpfs.SizeBytes))
	return withOptions(strings.TrimSpace(string(m.Type)+" "+m.Source), driver.Options, notes)
}

// Size writes a number of bytes as compose files do: 64M.
func Size(bytes int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if bytes >= unit.bytes && bytes%unit.bytes == 0 {
			return strconv.FormatInt(bytes/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10)
}
