package compose

import (
	"fmt"
	"reflect"
	"regexp"

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

// keyed warns of items in the files until file i that another item replaces. If an earlier
// file has the list, this also happens within each of them.
func (c *comparison) keyed(i int, name string, kind keyedList) {
	found := false
	latest := map[string]entry{}
	for j := range i + 1 {
		value, _ := c.at(j, "services", name, kind.name)
		items := list(value)
		if j == i && !found {
			return
		}
		found = found || items != nil
		for at, item := range items {
			now := entry{mapping(item), c.place(j, "services", name, kind.name, itemKey(at, len(items)))}
			old, ok := latest[kind.key(now.item)]
			if ok && !reflect.DeepEqual(old.item, now.item) {
				c.warnings.add(now.place, changeEarlier, "service %s: %s: %s replaces %s of %s: they are merged by %s",
					name, kind.name, kind.show(now.item), kind.show(old.item), old.place, kind.by)
			}
			latest[kind.key(now.item)] = now
		}
	}
}
