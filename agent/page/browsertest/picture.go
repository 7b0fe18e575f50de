package browsertest

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"slices"
)

// colours of a reduced picture. A page has few; the others are on the edges of letters.
const colours = 48

// reduce gives a PNG with fewer colours, which is a third of the size.
func reduce(data []byte) ([]byte, error) {
	taken, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	bounds := taken.Bounds()
	count := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(taken.At(x, y)).(color.RGBA) } //nolint:forcetypeassert // the model's type
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	reduced := image.NewPaletted(bounds, palette(count))
	index := map[color.RGBA]uint8{}
	for one := range count {
		index[one] = uint8(reduced.Palette.Index(one)) //nolint:gosec // below 256
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			reduced.SetColorIndex(x, y, index[at(x, y)])
		}
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, reduced)
	return out.Bytes(), err
}

// palette picks the most frequent colours that differ enough from those before them.
func palette(count map[color.RGBA]int) color.Palette {
	all := make([]color.RGBA, 0, len(count))
	for one := range count {
		all = append(all, one)
	}
	number := func(c color.RGBA) int { return int(c.R)<<16 | int(c.G)<<8 | int(c.B) }
	slices.SortFunc(all, func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(number(a), number(b)))
	})
	const always, apart = 12, 12 // the first ones, however near; in one of red, green and blue
	far := func(a, b uint8) bool { return max(a, b)-min(a, b) >= apart }
	var picked color.Palette
	for _, one := range all {
		near := len(picked) >= always && slices.ContainsFunc(picked, func(other color.Color) bool {
			o := other.(color.RGBA) //nolint:forcetypeassert // all are
			return !far(one.R, o.R) && !far(one.G, o.G) && !far(one.B, o.B)
		})
		if !near && len(picked) < colours {
			picked = append(picked, one)
		}
	}
	return picked
}
