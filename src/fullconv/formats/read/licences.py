"""The terms of public data sets, by their layout. Whoever has other data in that form has other terms."""

LICENCES = {
    "voc": "PASCAL VOC: images from Flickr under its terms of use; no licence is named for the annotations",
    "voc_sbd": "PASCAL VOC and SBD: images from Flickr under its terms of use; no licence is named for the annotations",
    "sbd": "SBD: no licence is named; images from Flickr under its terms of use",
    "camvid": "CamVid: no licence comes with it; SegNet's repository, which holds it in this form, is CC BY-NC 4.0",
    "camvid_original": "CamVid: no licence comes with it",
    "kitti_road": "KITTI: CC BY-NC-SA 3.0",
    "pets": "Oxford-IIIT Pet: CC BY-SA 4.0; the copyright of the images remains with their owners",
    "cityscapes": "Cityscapes: its own licence, non-commercial, no redistribution",
    "ade20k": "ADE20K: images for non-commercial research and teaching, annotations BSD-3-Clause",
    "coco": "COCO: annotations CC BY 4.0, images from Flickr under its terms of use",
    "coco_panoptic": "COCO: annotations CC BY 4.0, images from Flickr under its terms of use",
    "coco_stuff": "COCO-Stuff: annotations CC BY 4.0, images from Flickr under its terms of use",
    "nyu_v2": "NYUv2: no licence comes with it",
    "sift_flow": "SIFT Flow: no licence comes with it",
}
