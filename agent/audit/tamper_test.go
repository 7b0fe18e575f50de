package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
)

// lines splits a log into lines with their line breaks.
func lines(data []byte) [][]byte { return slices.Collect(bytes.Lines(data)) }

// forged returns the line of an entry with a matching hash. It keeps the seal.
func forged(t *testing.T, entry audit.Entry) []byte {
	t.Helper()
	encode := func() []byte {
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(entry); err != nil {
			t.Fatal(err)
		}
		return line.Bytes()
	}
	seal := entry.Seal
	entry.Hash, entry.Seal = "", ""
	sum := sha256.Sum256(encode())
	entry.Hash, entry.Seal = hex.EncodeToString(sum[:]), seal
	return encode()
}

// parsed reads the lines of a log.
func parsed(t *testing.T, data []byte) (all []audit.Entry) {
	t.Helper()
	for _, line := range lines(data) {
		var entry audit.Entry
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatal(err)
		}
		all = append(all, entry)
	}
	return all
}

// Verify finds every change of a single byte, at its line.
func TestChangedByte(t *testing.T) {
	dir, head := written(t, 3)
	data := content(t, dir)
	line := 1
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 1
		put(t, dir, changed)
		report := verify(t, dir, head)
		if len(report.Problems) == 0 {
			t.Fatalf("byte %d of line %d as %q: not found", i, line, changed[i])
		}
		if report.Problems[0].Line != line {
			t.Fatalf("byte %d of line %d as %q: found at %s", i, line, changed[i], report.Problems[0])
		}
		if data[i] == '\n' {
			line++
		}
	}
}

// If a field is changed together with its entry's hash, the hash in the next entry
// does not match. In the last entry, the head does not match.
func TestForgedFields(t *testing.T) {
	dir, head := written(t, 4)
	data := content(t, dir)
	if !bytes.Equal(forged(t, parsed(t, data)[3]), lines(data)[3]) {
		t.Fatal("the test does not write lines in the form of the log")
	}
	fields := 0
	for at := range lines(data) {
		var spoil func(value reflect.Value)
		entry := parsed(t, data)[at]
		check := func() {
			fields++
			changed := lines(data)
			changed[at] = forged(t, entry)
			put(t, dir, bytes.Join(changed, nil))
			if report := verify(t, dir, head); len(report.Problems) == 0 {
				t.Errorf("not found: %s", changed[at])
			}
		}
		spoil = func(value reflect.Value) {
			for i := range value.NumField() {
				field := value.Field(i)
				before := reflect.ValueOf(field.Interface())
				switch {
				case value.Type().Field(i).Name == "Hash", value.Type().Field(i).Name == "Seal":
					continue
				case field.Kind() == reflect.String:
					field.SetString(field.String() + "x")
				case field.Kind() == reflect.Uint64:
					field.SetUint(field.Uint() + 1)
				case field.Type() == reflect.TypeFor[time.Time]():
					field.Set(reflect.ValueOf(entry.Time.Add(time.Nanosecond)))
				default:
					spoil(field)
					continue
				}
				check()
				field.Set(before)
			}
		}
		spoil(reflect.ValueOf(&entry).Elem())
	}
	if fields != 4*20 {
		t.Errorf("the test changed %d fields", fields)
	}
}

// A log that is rewritten from some entry on does not match the head in the state
// file.
func TestRewrittenChain(t *testing.T) {
	dir, head := written(t, 5)
	all := parsed(t, content(t, dir))
	for from := range all {
		var data []byte
		prev := ""
		for i, entry := range all {
			if i == from {
				entry.Actor.Name = "Mallory"
			}
			entry.Prev = prev
			line := forged(t, entry)
			prev = parsed(t, line)[0].Hash
			data = append(data, line...)
		}
		put(t, dir, data)
		sound(t, dir, audit.Head{}, 5)
		report := verify(t, dir, head)
		if len(report.Problems) != 1 || !strings.Contains(report.Problems[0].What, "the log was replaced") {
			t.Errorf("from %d: %+v", from, report.Problems)
		}
	}
}

// Verify finds every truncation.
func TestCut(t *testing.T) {
	dir, head := written(t, 3)
	data := content(t, dir)
	for size := range data {
		put(t, dir, data[:size])
		report := verify(t, dir, head)
		if len(report.Problems) == 0 || !strings.Contains(report.Problems[0].What, "but the state file has entry 3") || report.Problems[0].Seq != uint64(report.Entries)+1 {
			t.Fatalf("at %d bytes: %+v", size, report)
		}
	}
}

func TestMovedLines(t *testing.T) {
	dir, head := written(t, 5)
	original := lines(content(t, dir))
	other, _ := written(t, 5)
	foreign := lines(content(t, other))
	moved := func(change func(l [][]byte) [][]byte) []byte { return bytes.Join(change(slices.Clone(original)), nil) }
	for name, test := range map[string]struct {
		data []byte
		line int
		want string
	}{
		"first missing":  {moved(func(l [][]byte) [][]byte { return l[1:] }), 1, "entry 1 is missing"},
		"two missing":    {moved(func(l [][]byte) [][]byte { return slices.Delete(l, 1, 3) }), 2, "entries 2 to 3 are missing"},
		"swapped":        {moved(func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l }), 2, "entry 2 is missing"},
		"twice":          {moved(func(l [][]byte) [][]byte { return slices.Insert(l, 3, l[2]) }), 4, "entry 3 is out of order"},
		"of another log": {moved(func(l [][]byte) [][]byte { l[2] = foreign[2]; return l }), 3, "the previous entry was replaced"},
		"another log":    {bytes.Join(foreign, nil), 6, "the log was replaced"},
		"empty line":     {moved(func(l [][]byte) [][]byte { return slices.Insert(l, 2, []byte("\n")) }), 3, "not an audit log entry"},
		"other words":    {moved(func(l [][]byte) [][]byte { l[3] = []byte("{\"level\":\"INFO\"}\n"); return l }), 4, "not an audit log entry"},
		"long line": {moved(func(l [][]byte) [][]byte {
			l[3] = bytes.Repeat([]byte("x"), 200_000)
			return slices.Insert(l, 4, []byte("\n"))
		}), 4, "not an audit log entry"},
		"with a space":   {moved(func(l [][]byte) [][]byte { l[3] = bytes.Replace(l[3], []byte(`":"`), []byte(`": "`), 1); return l }), 4, "was changed"},
		"one more field": {moved(func(l [][]byte) [][]byte { l[3] = bytes.Replace(l[3], []byte(`{`), []byte(`{"x":1,`), 1); return l }), 4, "was changed"},
		"one line added": {moved(func(l [][]byte) [][]byte { return append(l, l[4]) }), 6, "entry 5 is out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, dir, test.data)
			report := verify(t, dir, head)
			if len(report.Problems) == 0 || report.Problems[0].Line != test.line || !strings.Contains(report.Problems[0].What, test.want) {
				t.Errorf("got %v, want line %d: %s", report.Problems, test.line, test.want)
			}
		})
	}
}
