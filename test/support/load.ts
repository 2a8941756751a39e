// The tests use the write load of the demo.
export {
  type ShopLoad as Load,
  type ShopLoadCounts as LoadCounts,
  type ShopLoadOptions as LoadOptions,
  startShopLoad as startLoad,
} from "../../lib/demo/load.ts";
