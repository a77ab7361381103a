#!/usr/bin/env bash
# Where the dog is, from ImageNet's labels alone: ResNet-50 made fully convolutional, the 118 dogs of ImageNet, three
# sizes, as the seed article shows it (it gives pictures, no score).
#
#   bash recipes/heatmap_resnet50_dog.sh dog.jpg
#
# ResNet-50's weights are downloaded once; with them: not measured. With MobileNetV2 (ENCODER=mobilenetv2_100
# WEIGHTS=FILE) 0.509 of the map's mass lies in the dog's box, which is 12.6 % of the picture; docs/heatmaps.md has the
# rest.
set -euo pipefail
fullconv heatmap "${1:?an image}" --synset n02084071 --encoder "${ENCODER:-resnet50}" \
    --encoder-weights "${WEIGHTS:-imagenet}" --sizes 400x640 800x1280 1600x2560 --out "${2:-heatmaps}"
