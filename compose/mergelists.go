package compose

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"

	"coin.internal/coin-agent/internal/fault"
)

var (
	zeroText = regexp.MustCompile(`^0+[a-zA-Zµ]*$`)
	zeroKeys = []string{"delay", "interval", "memory", "monitor", "start_interval", "start_period", "stop_grace_period", "timeout", "window"}
)

// keyedList is a list of a service that the docker CLI merges by a key of its items:
// a later item replaces an earlier one with the same key.
type keyedList struct {
	name, by string
	key      func(item map[string]any) string
	show     func(item map[string]any) string
}

var keyedLists = []keyedList{
	{"ports", "published port", publishedPort, showPort},
	{"volumes", "target", textOf("target"), textOf("target")},
	{"secrets", "source", textOf("source"), showReference},
	{"configs", "source", textOf("source"), showReference},
}

func textOf(key string) func(map[string]any) string {
	return func(item map[string]any) string { return fmt.Sprint(item[key]) }
}

func publishedPort(item map[string]any) string {
	if item["published"] == nil {
		return "0"
	}
	return fmt.Sprint(item["published"])
}

func showPort(item map[string]any) string {
	text := fmt.Sprintf("%s:%v", publishedPort(item), item["target"])
	if protocol, ok := item["protocol"].(string); ok && protocol != "tcp" {
		text += "/" + protocol
	}
	return text
}

func showReference(item map[string]any) string {
	if item["target"] == nil {
		return fmt.Sprint(item["source"])
	}
	return fmt.Sprintf("%v at %v", item["source"], item["target"])
}

// entry is an item of a keyed list, and its place.
type entry struct {
	item  map[string]any
	place fault.Place
}

// keyed warns of items that another item replaces. If a service is in two files, this
// also happens within each of them.
func (c *comparison) keyed(name string, kind keyedList) {
	var all []entry
	found := false
	for i := range c.files {
		if _, ok := c.at(i, "services", name); !ok {
			continue
		}
		value, _ := c.at(i, "services", name, kind.name)
		items := list(value)
		next := make([]entry, 0, len(items))
		for at, item := range items {
			place := c.place(i, "services", name, kind.name, itemKey(at, len(items)))
			next = append(next, entry{mapping(item), place})
		}
		if !found {
			all, found = next, items != nil
			continue
		}
		all = c.unite(name, kind, slices.Concat(all, next))
	}
}

func (c *comparison) unite(name string, kind keyedList, entries []entry) []entry {
	var kept []entry
	index := map[string]int{}
	for _, one := range entries {
		at, ok := index[kind.key(one.item)]
		if !ok {
			index[kind.key(one.item)] = len(kept)
			kept = append(kept, one)
			continue
		}
		if old := kept[at]; !reflect.DeepEqual(old.item, one.item) {
			c.warnings.add(one.place, changeEarlier, "service %s: %s: %s replaces %s of %s: they are merged by %s",
				name, kind.name, kind.show(one.item), kind.show(old.item), old.place, kind.by)
		}
		kept[at] = one
	}
	return kept
}
