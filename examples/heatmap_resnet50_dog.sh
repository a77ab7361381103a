#!/usr/bin/env bash
# Where the dog is, from ImageNet's labels alone: ResNet-50 made fully convolutional, the 118 dogs of ImageNet, three
# sizes, as the seed article shows it (it gives pictures, no score).
#
#   bash examples/heatmap_resnet50_dog.sh dog.jpg
#   HEAD=weights_dense.h5 ENCODER=keras_resnet50 WEIGHTS=resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5 \
#       bash examples/heatmap_resnet50_dog.sh dog.jpg     # the article's own network: Keras's body, the last layer apart
#
# timm's ResNet-50 is downloaded once; with it or with Keras's files: not measured (neither is on the machine it was
# written on; the network is compared with Keras's in a test). With MobileNetV2 (ENCODER=mobilenetv2_100 WEIGHTS=FILE)
# 0.509 of the map's mass lies in the dog's box, which is 12.6 % of the picture; docs/heatmaps.md has the rest.
set -euo pipefail
fullconv heatmap "${1:?an image}" --synset n02084071 --encoder "${ENCODER:-resnet50}" \
    --encoder-weights "${WEIGHTS:-imagenet}" --head-weights "${HEAD:-}" \
    --sizes 400x640 800x1280 1600x2560 --out "${2:-heatmaps}"
